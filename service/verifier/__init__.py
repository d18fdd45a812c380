"""The verifier: looks at domains when they are due, or at once where somebody asks.

A check is a conversation (`checks`): it asks, hears the answers, asks what follows from them,
and ends with what becomes of the domain. Threads (`pool`) have many of them under way each
(`pipeline`), so that a slow domain keeps none of the others waiting.
"""

from service.verifier.checks import Checks
from service.verifier.config import VerifierConfig
from service.verifier.pool import Verifier

__all__ = ["Checks", "Verifier", "VerifierConfig"]
