"""Everything beyond single-row influence that a fitted head gives."""

from sklinfluence.gradient._active_set import ActiveSetMixin
from sklinfluence.gradient._candidates import CandidatesMixin
from sklinfluence.gradient._certify import CertifyMixin
from sklinfluence.gradient._damping_path import DampingPathMixin
from sklinfluence.gradient._group_influence import GroupInfluenceMixin
from sklinfluence.gradient._parameter_influence import ParameterInfluenceMixin


class HeadToolsMixin(
    GroupInfluenceMixin,
    CertifyMixin,
    ActiveSetMixin,
    CandidatesMixin,
    DampingPathMixin,
    ParameterInfluenceMixin,
):
    """Groups, certificates, active sets, candidates, dampings and Cook's vector."""
