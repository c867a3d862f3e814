"""Addresses of the configuration pages."""

from __future__ import annotations

from django.urls import path

from policies.views import activity, copies, media, nodes, restarts, schedules, sources, storage_policies, users, wizard

app_name = "policies"

urlpatterns = [
    path("start/", wizard.source, name="wizard"),
    path("start/media/", wizard.media, name="wizard_media"),
    path("start/policy/", wizard.policy, name="wizard_policy"),
    path("file-servers/", sources.file_server_list, name="file_server_list"),
    path("file-servers/add/", sources.file_server_create, name="file_server_create"),
    path("file-servers/<int:pk>/", sources.file_server_detail, name="file_server_detail"),
    path("file-servers/<int:pk>/edit/", sources.file_server_edit, name="file_server_edit"),
    path("file-servers/<int:pk>/delete/", sources.file_server_delete, name="file_server_delete"),
    path("subclients/", sources.subclient_list, name="subclient_list"),
    path("subclients/add/", sources.subclient_create, name="subclient_create"),
    path("subclients/<int:pk>/edit/", sources.subclient_edit, name="subclient_edit"),
    path("subclients/<int:pk>/delete/", sources.subclient_delete, name="subclient_delete"),
    path("media/", media.media_list, name="media_list"),
    path("media/add/", media.media_create, name="media_create"),
    path("media/<int:pk>/", media.media_detail, name="media_detail"),
    path("media/<int:pk>/edit/", media.media_edit, name="media_edit"),
    path("media/<int:pk>/delete/", media.media_delete, name="media_delete"),
    path("policies/", storage_policies.policy_list, name="policy_list"),
    path("policies/add/", storage_policies.policy_create, name="policy_create"),
    path("policies/<int:pk>/", storage_policies.policy_detail, name="policy_detail"),
    path("policies/<int:pk>/edit/", storage_policies.policy_edit, name="policy_edit"),
    path("policies/<int:pk>/delete/", storage_policies.policy_delete, name="policy_delete"),
    path("policies/<int:pk>/copies/add/", copies.copy_create, name="copy_create"),
    path("copies/<int:pk>/edit/", copies.copy_edit, name="copy_edit"),
    path("copies/<int:pk>/delete/", copies.copy_delete, name="copy_delete"),
    path("copies/<int:pk>/move/", copies.copy_move, name="copy_move"),
    path("nodes/", nodes.node_list, name="node_list"),
    path("nodes/<int:pk>/", nodes.node_detail, name="node_detail"),
    path("nodes/<int:pk>/edit/", nodes.node_edit, name="node_edit"),
    path("nodes/<int:pk>/delete/", nodes.node_delete, name="node_delete"),
    path("nodes/<int:pk>/drain/", nodes.node_drain, name="node_drain"),
    path("nodes/<int:pk>/enable/", nodes.node_enable, name="node_enable"),
    path("schedules/add/", schedules.schedule_create, name="schedule_create"),
    path("schedules/<int:pk>/edit/", schedules.schedule_edit, name="schedule_edit"),
    path("schedules/<int:pk>/activate/", schedules.schedule_activate, name="schedule_activate"),
    path("schedules/<int:pk>/delete/", schedules.schedule_delete, name="schedule_delete"),
    path("schedules/blackouts/", schedules.blackout_list, name="blackout_list"),
    path("schedules/blackouts/add/", schedules.blackout_create, name="blackout_create"),
    path("schedules/blackouts/<int:pk>/edit/", schedules.blackout_edit, name="blackout_edit"),
    path("schedules/blackouts/<int:pk>/delete/", schedules.blackout_delete, name="blackout_delete"),
    path("jobs/restarts/", restarts.restart_list, name="restart_list"),
    path("jobs/restarts/<slug:operation>/edit/", restarts.restart_edit, name="restart_edit"),
    path("jobs/restarts/<slug:operation>/reset/", restarts.restart_reset, name="restart_reset"),
    path("users/", users.user_list, name="user_list"),
    path("users/add/", users.user_create, name="user_create"),
    path("users/<int:pk>/", users.user_detail, name="user_detail"),
    path("users/<int:pk>/edit/", users.user_edit, name="user_edit"),
    path("users/<int:pk>/activate/", users.user_activate, name="user_activate"),
    path("activity/", activity.activity, name="activity"),
]
