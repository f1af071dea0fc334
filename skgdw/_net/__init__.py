"""skorch's classifier brought to scikit-learn's contract: prediction, parameters, saving."""
