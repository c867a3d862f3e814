"""Who a session belongs to, read with what limits them: each page asks for the scope, none pays a query for it."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User


class ScopedBackend(ModelBackend):
    """Django's own, but for one join: no row beside the user = not limited, known without asking again."""

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.select_related("scope").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
