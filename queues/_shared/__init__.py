"""Code that several queue plugins share."""
