"""Models and engines that come with the installation and need no key."""
