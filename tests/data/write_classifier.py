"""Writes ``classifier_<minor version>.pkl.gz`` and ``.skops``, from which later versions must load.

Run once for a minor version, in the root of the repository, and keep the files as they are:
``python tests/data/write_classifier.py``. `tests/saving_cases.py` says what they must predict.
``classifier_unversioned.pkl.gz`` was written in this way before files told their version.
"""

import gzip
import pickle
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    sys.path.insert(0, str(HERE.parent))
    import skops.io

    from classifier_cases import blobs
    from skgdw import GDWClassifier, __version__

    clf = GDWClassifier(
        module__hidden=(),
        weight_net__hidden=2,
        max_epochs=3,
        lr=0.5,
        batch_size=24,
        verbose=0,
        random_state=0,
    )
    clf.fit(*blobs().labelled([*"abc"]))
    minor = ".".join(__version__.split(".")[:2])
    path = HERE / f"classifier_{minor}.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(clf, protocol=4), 9, mtime=0))
    skops.io.dump(clf, HERE / f"classifier_{minor}.skops", compression=zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
