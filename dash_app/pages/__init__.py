"""The pages: each has a layout and registers its callbacks on the app it is given."""
