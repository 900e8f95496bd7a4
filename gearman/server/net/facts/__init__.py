"""What a server tells about itself: process, limits, cluster."""
