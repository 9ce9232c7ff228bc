"""{{ cookiecutter.summary }}."""

from {{ cookiecutter.module }}.greeter import Greeter

__all__ = ["Greeter"]
