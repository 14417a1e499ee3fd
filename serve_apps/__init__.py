"""The doors: applications that Ray Serve deploys."""
