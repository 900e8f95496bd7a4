"""The app, for INSTALLED_APPS."""

from django.apps import AppConfig


class GearmanConfig(AppConfig):
    """Has the command `gearman_worker`."""

    name = "gearman.django"
    label = "gearman"
    verbose_name = "Gearman"
