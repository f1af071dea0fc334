"""The estimator: its parameters and what ``fit`` accepts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from numpy.typing import ArrayLike
from sklearn.utils.metadata_routing import UNUSED
from torch.utils.data import DataLoader

from skgdw._intake._check_fit import GivenRows
from skgdw._rows import RowContainer
from skgdw._weighted_net import WeightedNet
from skgdw.modules import WeightNet
from skgdw.weighting._registry import WeightingLike


class GDWClassifier(WeightedNet):
    """A torch network that learns from noisy, imbalanced labels with a small clean meta set.

    Generalized Data Weighting (GDW): trusted, balanced rows teach, as training goes on, how much
    each class's gradient of each training row should count. The paper's weights let wrong labels
    and overfull classes lose weight; class pairs, the default, may turn negative and correct them.
    skorch's parameters, prefixes and callbacks keep their meaning, but for the defaults below.

    Parameters
    ----------
    module : "auto", torch module or its class, default="auto"
        Network that returns logits of shape (n, n_classes). "auto" takes an MLP for tables, a small
        residual net for images of at most 16 pixels a side and ResNet-32 above; all of them
        standardise their inputs. An instance is copied, so that every ``fit`` starts afresh.
    weighting : str, Weighting class or instance, default="class_pair"
        "class_pair": weights tied by given and true class, which correct labels; "class": a weight
        for each class of each row (the paper's GDW); "instance": one for each row, stepped against
        its gradient; "network": one for each row out of the weighting net (MW-Net); "uniform":
        plain training, which checks a given meta set and leaves it unused. Or one of your own, see
        `skgdw.weighting.Weighting`. ``weighting__*`` are arguments.
    meta_lr : float, default=0.1
        How fast the meta set teaches, >= 0. For class pairs the rate of beliefs and of the bound;
        else the step of a weight whose meta gradient is of mean size in its batch: the paper's
        outer rate is ``meta_lr`` times batch size times number of classes. "network" has no use
        for it: the rate is that of ``weight_net_optimizer``.
    weight_clip : float, default=0.2
        Largest change of one weight in a step, > 0.
    min_gradient_share : float or None, default=None
        Least share of a batch's gradient that the weights may leave, in [0, 1]; below it the batch
        is scaled up as a whole. None: 0.1, but 0 for class pairs. The paper's algorithm has 0.
    meta_every : int or None, default=None
        Steps from one meta batch to the next, >= 1. None: n // m in [1, 5] for class pairs, else 1.
    meta_weight : float or None, default=None
        Weight of the meta gradient in the step of the network itself, >= 0. None: for class pairs
        8 m / n for m meta and n training rows, within [0.4, 2]; else 0, the paper's algorithm.
    lookahead_lr : float or None, default=None
        Rate of the look-ahead, > 0. None follows the learning rates of ``optimizer=SGD``; other
        optimizers, whose rate is no step length, get 0.05.
    meta_gradient : {"auto", "forward", "difference", "unrolled"}, default="auto"
        How J g is computed, the change of the training logits along the meta gradient g: by
        forward mode, finite differences, or double backward. "auto" takes the first of forward,
        unrolled and difference that the module can do; see ``meta_gradient_``.
    precision : {"float32", "bf16"}, default="float32"
        "bf16" trains the module's passes under autocast; logits and weights stay in float32.
    meta_size : float or int, default=0.1
        Share or number of rows taken out of the training set, balanced over the classes, where no
        meta set is given.
    balance_meta : bool, default=True
        Whether every class of an uneven meta set is drawn equally often, so that rows of classes
        with fewer come more often. Rows come as they are where ``iterator_meta`` does not shuffle,
        has a sampler of its own or is no DataLoader, and where a Dataset holds the labels itself.
    keep_best : bool, default=False
        Whether to end with the parameters of the best epoch: by balanced accuracy on the rows of
        ``X_val``, or where there are none on the meta set. See ``history_``, "keep_best_score".
    fine_tune : bool, default=False
        Whether to keep the best epoch and fine-tune it on the meta set, for 30 epochs at a rate
        that cross-validation within the meta set chooses. With ``weighting="uniform"`` this is the
        careful baseline to beat.
    class_prior : {"meta", "train"}, array-like of shape (n_classes,) or dict, default="meta"
        Which world `predict_proba` is for; may be set after ``fit``. "meta": all classes are
        equally frequent, as in a balanced meta set. "train": as frequent as the true classes of the
        training rows, see ``class_prior_``. Or the share of each class, in the order of
        ``classes_``, or by label in a dict or Series. Other weightings keep the frequencies of
        training in the logits: they take "meta", which leaves them as they are.
    class_weight : dict of label to float, "balanced" or None, default=None
        Sets ``criterion__weight``: weights > 0, of labels left out one. Meta rows count alike all
        the same, and teach for a world in which classes do.
    weight_net : torch module or its class, default=WeightNet
        Maps losses (n,) to weights (n,) in (0, 1). ``weight_net__hidden=100``.
    weight_net_optimizer : torch optimizer class, default=torch.optim.Adam
        With ``weight_net_optimizer__lr=1e-3`` and ``weight_net_optimizer__weight_decay=1e-4``.
    iterator_meta : DataLoader class, default=torch.utils.data.DataLoader
        Goes round the meta set endlessly. ``iterator_meta__batch_size`` is ``batch_size`` where not
        set, and never more than the meta set has; ``iterator_meta__shuffle=True``.
    criterion : torch criterion class or instance, default=torch.nn.CrossEntropyLoss
        Its logit gradient must sum to zero over each row and be negative at the target:
        cross-entropy with or without class weights does; label smoothing and margins do not.
    optimizer : torch optimizer class, default=torch.optim.SGD
        Under SGD, where not set: momentum 0.9, weight decay 5e-4; 0.93 and 1e-5 for our `MLP`.
    lr : float, default=0.1
        Learning rate. It falls to zero as a cosine over ``max_epochs``;
        ``callbacks__lr_schedule=None`` keeps it constant.
    max_epochs : int, default=20
        Passes over the training rows.
    batch_size : int, default=128
        Training rows a step, -1 for all. A single row left over at the end joins the batch before.
        Prediction takes at least 1024 rows at once; ``iterator_valid__batch_size`` sets how many.
    train_split : skorch split or None, default=None
        Nothing is held out unless asked for, unlike in skorch.
    device : str, default="auto"
        "auto" is cuda where there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all that is drawn; global random states are left alone.
    **kwargs
        skorch's other parameters (``callbacks``, ``verbose``, ``warm_start``, ``classes``, ...) and
        those with a prefix (``module__hidden``, ``optimizer__momentum``, ...).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels: the sorted union of y and y_meta, or ``classes`` where given.
    n_features_in_ : int
        Columns, or channels, of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, where X is a DataFrame with strings for names.
    n_iter_ : int
        Epochs that were trained, in all stages.
    module_, weight_net_, weighting_ : torch.nn.Module
        The trained network, weighting net and weighting.
    transition_matrix_ : ndarray of shape (n_classes, n_classes) or None
        How labels came of true classes, which stand in the rows; None where it is not estimated.
    class_prior_ : ndarray of shape (n_classes,) or None
        Share of each true class in training.
    noise_rate_ : float or None
        Share of wrong labels in training.
    meta_gradient_ : str or None
        How J g was computed; None in plain training.
    row_ledger_ : dict of str to ndarray of shape (n_rows,)
        What training saw of each row of X: ``last_weight`` and ``mean_weight`` of its given label,
        ``last_loss``, ``mean_given_probability``, ``last_prediction`` (a class code),
        ``times_seen``; for class pairs the posterior of its true class when last seen:
        ``given_posterior`` of the given label, ``best_class`` (a class code), ``best_posterior``.
        NaN, or -1, where it is not known, as of rows that were not trained on.
    row_weights_ : ndarray of shape (n_rows,) or None
        The column ``last_weight``; None in plain training.
    history_ : skorch.history.History
        One record an epoch: ``train_loss``, ``meta_loss`` (after the look-ahead), ``weight_given``
        and ``weight_other`` (mean weights at given labels and at the others), ``stage``.

    See Also
    --------
    skgdw.model_selection.split_meta : Take a class-balanced meta set out of trusted rows.
    skgdw.corruption.LabelNoise : Corrupt labels to study what is gained.

    References
    ----------
    Chen et al., "Generalized Data Weighting via Class-Level Gradient Manipulation", NeurIPS 2021,
    arXiv:2111.00056.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from skgdw import GDWClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> trusted = np.arange(len(y)) % 10 == 0
    >>> y_given = np.where(trusted | (np.arange(len(y)) % 3 > 0), y, (y + 1) % 3)
    >>> clf = GDWClassifier(max_epochs=50, random_state=0, verbose=0)
    >>> clf = clf.fit(X[~trusted], y_given[~trusted], X[trusted], y[trusted])
    >>> float(clf.score(X, y)) > 0.9
    True
    """

    # Requested without a call of set_fit_request. skorch's own set_fit_request takes any name.
    __metadata_request__fit: ClassVar[dict[str, Any]] = {
        "X_meta": True,
        "y_meta": True,
        "meta_mask": True,
        "X_val": True,
        "y_val": True,
    }
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {
        "classes": UNUSED,
        "X_meta": True,
        "y_meta": True,
        "meta_mask": True,
        "X_val": True,
        "y_val": True,
    }

    def __init__(
        self,
        module: Any = "auto",
        *,
        weighting: WeightingLike = "class_pair",
        meta_lr: float = 0.1,
        weight_clip: float = 0.2,
        min_gradient_share: float | None = None,
        meta_every: int | None = None,
        meta_weight: float | None = None,
        lookahead_lr: float | None = None,
        meta_gradient: str = "auto",
        precision: str = "float32",
        meta_size: float = 0.1,
        balance_meta: bool = True,
        keep_best: bool = False,
        fine_tune: bool = False,
        class_prior: Any = "meta",
        class_weight: Any = None,
        weight_net: Any = WeightNet,
        weight_net_optimizer: Any = torch.optim.Adam,
        iterator_meta: Any = DataLoader,
        criterion: Any = torch.nn.CrossEntropyLoss,
        optimizer: Any = torch.optim.SGD,
        lr: float = 0.1,
        max_epochs: int = 20,
        batch_size: int = 128,
        train_split: Any = None,
        device: Any = "auto",
        random_state: Any = None,
        **kwargs: Any,
    ) -> None:
        # Before skorch's own: after them it takes a module among the attributes for a trained one.
        self.weighting = weighting
        self.meta_lr = meta_lr
        self.weight_clip = weight_clip
        self.min_gradient_share = min_gradient_share
        self.meta_every, self.meta_weight = meta_every, meta_weight
        self.lookahead_lr, self.meta_gradient = lookahead_lr, meta_gradient
        self.precision = precision
        self.meta_size = meta_size
        self.balance_meta = balance_meta
        self.keep_best, self.fine_tune = keep_best, fine_tune
        self.class_prior, self.class_weight = class_prior, class_weight
        self.weight_net, self.weight_net_optimizer = weight_net, weight_net_optimizer
        self.iterator_meta = iterator_meta
        self.random_state = random_state
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            train_split=train_split,
            device=device,
            **kwargs,
        )

    # What fit accepts.

    def fit(
        self,
        X: RowContainer,
        y: RowContainer | None = None,
        X_meta: RowContainer | None = None,
        y_meta: RowContainer | None = None,
        *,
        meta_mask: RowContainer | None = None,
        X_val: RowContainer | None = None,
        y_val: RowContainer | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on (X, y), taught by the meta set.

        Parameters
        ----------
        X : array-like of shape (n, d) or (n, channels, height, width)
            Training rows: array, DataFrame, tensor; also skorch's mappings and Datasets, which
            reach the module as they are.
        y : array-like of shape (n,), (n, 1) or one-hot (n, n_classes)
            Labels of any kind; those of one-hot rows are the numbers of the columns. None for a
            Dataset that holds them, with ``classes`` set.
        X_meta, y_meta : array-like of shape (m, ...) and (m,), or 1-tuples holding one
            Trusted rows, disjoint from X. Cross-validation never cuts what stands in a 1-tuple. A
            Dataset that holds its labels comes without y_meta.
        meta_mask : array-like of shape (n,), bool
            Marks trusted rows of X instead, which become the meta set; right under every slicing.
        X_val, y_val : array-like of shape (k, ...) and (k,), or 1-tuples holding one
            More trusted rows, disjoint from the others, only scored, in place of a ``train_split``.
        sample_weight : array-like of shape (n,), optional
            Factor of each training row's gradient, >= 0. Other rows have none.

        Returns
        -------
        GDWClassifier
            Itself, fitted.

        Raises
        ------
        ValueError, TypeError
            If parameters, rows, labels or trusted rows break a rule; nothing is trained then.

        Warns
        -----
        NoMetaSetWarning
            If there is no meta set: one of ``meta_size`` is taken out of the training rows.
        MetaClassWarning, MetaOverlapWarning, MetaScaleWarning, MetaSlicedWarning
            If trusted rows look wrong in one of these ways; ValidationOverlapWarning likewise.
        ChannelsLastWarning, ClassOrderWarning, ProbabilityOutputWarning
            If images, ``classes`` or the module's outputs look wrong.
        MetaGradientFallbackWarning, NonFiniteLossWarning
            If the module cannot do the meta gradient as asked; if a loss is NaN or infinite.
        """
        given = GivenRows(X, y, X_meta, y_meta, meta_mask, X_val, y_val, sample_weight)
        with self._as_before_if_refused():
            fresh = not (self.warm_start and hasattr(self, "module_"))
            known = self.classes if fresh else self._known_classes(self.classes)
            data = self._check_fit(given, known, fresh=fresh)
            self._train(data, fresh=fresh, is_partial_fit=False)
        return self

    def partial_fit(
        self,
        X: RowContainer,
        y: RowContainer | None = None,
        classes: ArrayLike | None = None,
        X_meta: RowContainer | None = None,
        y_meta: RowContainer | None = None,
        *,
        meta_mask: RowContainer | None = None,
        X_val: RowContainer | None = None,
        y_val: RowContainer | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go on training on (X, y) at the constant base learning rate, for ``max_epochs`` epochs.

        Parameters
        ----------
        X, y, X_meta, y_meta, meta_mask, X_val, y_val, sample_weight
            As in `fit`. Every call brings its own meta set and validation set: none is kept.
        classes : array-like of shape (n_classes,), optional
            All labels that will ever come, for the first call; later calls may repeat them.

        Returns
        -------
        GDWClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            As `fit`, and for labels that the first call did not know.
        """
        given = GivenRows(X, y, X_meta, y_meta, meta_mask, X_val, y_val, sample_weight)
        known = self._known_classes(classes)
        with self._as_before_if_refused():
            fresh = not hasattr(self, "module_")
            data = self._check_fit(given, known, fresh=fresh)
            self._train(data, fresh=fresh, is_partial_fit=True)
        return self
