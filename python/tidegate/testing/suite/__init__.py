"""Tests that are written as data, beside the document they are about; `tidegate test` runs them.

model    a file of tests, field for field    read    from a file, with lines
run      one test against a gateway          judge   how it differs from what was expected
coverage routes that no test reached         report, junit    for people, and for machines
"""
