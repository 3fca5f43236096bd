"""How fast everything is, as ratios that hold on other machines: what `make bench` runs. See docs/performance.md.

Not installed with the packages. It measures them from outside, so it alone may import all of them, and torch.
"""
