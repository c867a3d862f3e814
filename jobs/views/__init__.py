"""Pages of the work: thin views over :mod:`jobs.selectors_pages` and :mod:`jobs.services`; each guarded by a role."""
