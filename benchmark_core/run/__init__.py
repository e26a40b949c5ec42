"""Running a plan: scheduler, executors, events. Importing this package loads no torch; workers do."""
