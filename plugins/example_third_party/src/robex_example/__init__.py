"""A plugin for robex: DeepFool, SmoothGrad, the deletion metric and the verb `robex winners`."""
