"""Every address of the product: the site's own here, the rest from the two apps."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from snapcopy_site import user_links, views

urlpatterns = [
    path("favicon.ico", views.favicon, name="favicon"),
    path("healthz", views.healthz, name="healthz"),
    path("sign-in/", views.SignIn.as_view(), name="login"),
    path("sign-in/<str:token>/", views.sign_in_by_link, name="sign-in-link"),
    path("users/<int:pk>/sign-in-link/", user_links.new_sign_in_link, name="sign-in-link-new"),
    path("sign-out/", views.SignOut.as_view(), name="logout"),
    path("account/password/", views.ChangePassword.as_view(), name="password_change"),
    path("docs/", views.docs, name="docs"),
    path("docs/<path:page>/", views.docs, name="docs-page"),
    path("admin/", admin.site.urls),
    path("", include("jobs.urls")),
    path("", include("policies.urls")),
]
