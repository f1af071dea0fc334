"""Steps as scikit-learn's pipelines name them."""

from sklearn.preprocessing import StandardScaler

from skgdw._steps import name_steps


def test_steps_without_a_name_are_named_as_by_scikit_learn():
    one, two, three = (StandardScaler() for _ in range(3))
    assert name_steps([one, ("mine", two), three, "passthrough"]) == [
        ("standardscaler-1", one),
        ("mine", two),
        ("standardscaler-2", three),
        ("passthrough", "passthrough"),
    ]
    assert name_steps([]) == []
