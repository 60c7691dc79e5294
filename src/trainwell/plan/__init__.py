"""A profile of the data to a recipe, each choice with its reason in words."""

from trainwell.plan.profile import Profile, profile
from trainwell.plan.rules import Plan, Reason, propose

__all__ = ["Plan", "Profile", "Reason", "profile", "propose"]
