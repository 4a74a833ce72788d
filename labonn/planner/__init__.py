"""The estimator planner: a short measured characterisation of a chip chooses how its gradients are measured, and says why."""

from labonn.planner.agreement import Believed
from labonn.planner.character import Character
from labonn.planner.characterising import characterise
from labonn.planner.choice import TRUSTED, Choice, choose
from labonn.planner.costs import Costs
from labonn.planner.planner import Planner
from labonn.planner.predictions import Candidate

__all__ = ["TRUSTED", "Believed", "Candidate", "Character", "Choice", "Costs", "Planner", "characterise", "choose"]
