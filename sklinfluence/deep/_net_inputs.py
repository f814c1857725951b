"""From a trained net, rows and targets to the objective that influence is read from."""
