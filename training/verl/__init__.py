"""The same data and the same reward for verl, on clusters that use Ray. Its trainer was not run."""
