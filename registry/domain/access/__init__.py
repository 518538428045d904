"""Who may do what: one pure decision over one table, asked by every door."""

from registry.domain.access.decision import covers, demand, demand_credential, demand_signed_in, may, role_in
from registry.domain.access.identities import ANYBODY, DeployToken, Identity, Job, Token, User
from registry.domain.access.places import STRANGER, Group, Place, Project, RegistryAccess, Role, Standing, Visibility
from registry.domain.access.rules import RULES, Permission, Rule

__all__ = [
    "ANYBODY",
    "RULES",
    "STRANGER",
    "DeployToken",
    "Group",
    "Identity",
    "Job",
    "Permission",
    "Place",
    "Project",
    "RegistryAccess",
    "Role",
    "Rule",
    "Standing",
    "Token",
    "User",
    "Visibility",
    "covers",
    "demand",
    "demand_credential",
    "demand_signed_in",
    "may",
    "role_in",
]
