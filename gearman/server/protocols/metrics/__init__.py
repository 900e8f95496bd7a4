"""What has happened, for Prometheus: the text format 0.0.4.

OpenMetrics is not spoken: there, the counter gearman_jobs_total and the gauge
gearman_jobs would be two families of one name.
"""
