"""What all tests share: the fixtures that the package ships for everybody's suite."""

pytest_plugins = ["resetsvc.testing"]
