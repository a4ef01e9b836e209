"""The campaign: inputs, faults and configurations drawn from seeds, thrown at the program by the thousand.

`python -m tests.campaign` plays all of it, `make campaign` too; CONTRIBUTING.md says what each part does.
"""
