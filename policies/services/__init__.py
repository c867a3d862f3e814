"""Every write of the configuration: keyword-only, one transaction each, with its entry in the audit trail.

A wrong value raises Django's ValidationError with a message per field; what somebody else still needs raises
:class:`~policies.errors.CannotDelete`.
"""

from .copies import create_copy, delete_copy, extended_values, move_copy, place_copy, update_copy
from .installation import update_settings
from .media import (
    create_media,
    delete_media,
    ensure_repository,
    record_copied_bytes,
    run_media_test,
    set_repository_id,
    update_media,
)
from .nodes import create_node, delete_node, set_node_draining, set_node_enabled, update_node
from .restarts import reset_restart_policy, set_restart_policy
from .schedules import (
    create_blackout_window,
    create_schedule,
    delete_blackout_window,
    delete_schedule,
    plan_next,
    update_blackout_window,
    update_schedule,
)
from .sources import (
    create_file_server,
    create_subclient,
    delete_file_server,
    delete_subclient,
    run_file_server_test,
    update_file_server,
    update_subclient,
)
from .storage_policies import create_policy, delete_policy, update_policy
from .test_reports import store_test_report
from .users import (
    Limits,
    create_user,
    leaves_no_admin,
    set_user_active,
    set_user_role,
    set_user_scope,
    update_user,
)

__all__ = [
    "Limits",
    "create_blackout_window",
    "create_copy",
    "create_file_server",
    "create_media",
    "create_node",
    "create_policy",
    "create_schedule",
    "create_subclient",
    "create_user",
    "delete_blackout_window",
    "delete_copy",
    "delete_file_server",
    "delete_media",
    "delete_node",
    "delete_policy",
    "delete_schedule",
    "delete_subclient",
    "ensure_repository",
    "extended_values",
    "leaves_no_admin",
    "move_copy",
    "place_copy",
    "plan_next",
    "record_copied_bytes",
    "reset_restart_policy",
    "run_file_server_test",
    "run_media_test",
    "set_node_draining",
    "set_node_enabled",
    "set_repository_id",
    "set_restart_policy",
    "set_user_active",
    "set_user_role",
    "set_user_scope",
    "store_test_report",
    "update_blackout_window",
    "update_copy",
    "update_file_server",
    "update_media",
    "update_node",
    "update_policy",
    "update_schedule",
    "update_settings",
    "update_subclient",
    "update_user",
]
