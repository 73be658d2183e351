"""Running a program: memory and registers per lane, the checks of what is touched, and records for the timeline."""
