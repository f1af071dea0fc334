"""Ways to keep a classifier, and what the ones in `data/` are to predict."""

import io
import pickle
from pathlib import Path

import joblib
import skops.io

SAVED = Path(__file__).parent / "data"

# What a default classifier in a skops file asks its reader to trust.
TYPES = {
    "skgdw._classifier.GDWClassifier",
    "skgdw.modules._weight_net.WeightNet",
    "skorch.dataset.Dataset",
    "torch.nn.modules.loss.CrossEntropyLoss",
    "torch.optim.adam.Adam",
    "torch.optim.sgd.SGD",
    "torch.utils.data.dataloader.DataLoader",
}
TYPES_OF_NET = {*TYPES, "classifier_cases.Net"}

# What the saved classifiers predict, and after one more call of partial_fit.
PREDICTED = [
    [0.8906208, 0.03779158, 0.0715875],
    [0.0239503, 0.87461907, 0.10143066],
    [0.0649759, 0.03823976, 0.89678437],
]
PREDICTED_LATER = [
    [9.9726307e-01, 8.7478425e-04, 1.8621741e-03],
    [2.8923707e-04, 9.7055233e-01, 2.9158453e-02],
    [2.3046661e-04, 8.5371277e-05, 9.9968421e-01],
]


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))


def through_joblib(net):
    file = io.BytesIO()
    joblib.dump(net, file, compress=3)
    file.seek(0)
    return joblib.load(file)


def through_skops(net):
    data = skops.io.dumps(net)
    return skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))


def joblib_dumps(net):
    file = io.BytesIO()
    joblib.dump(net, file)
    return file.getvalue()
