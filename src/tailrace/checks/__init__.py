"""Is everything that people write right, and does it fit together across the rooms?"""

from tailrace.checks.project import Findings, check_project

__all__ = ["Findings", "check_project"]
