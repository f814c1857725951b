"""Everything beyond single-row influence that a fitted head gives."""

from sklinfluence.gradient._active_set import ActiveSetMixin
from sklinfluence.gradient._candidates import CandidatesMixin
from sklinfluence.gradient._certify import CertifyMixin
from sklinfluence.gradient._group_influence import GroupInfluenceMixin


class HeadToolsMixin(
    GroupInfluenceMixin, CertifyMixin, ActiveSetMixin, CandidatesMixin
):
    """Groups, certificates, active sets and candidates."""
