"""The command `robex`: one file per verb, loaded when the verb is used. `main` holds the table of verbs."""
