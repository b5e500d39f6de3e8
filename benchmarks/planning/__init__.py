"""A request becomes cells: suites, options, plans. What is wrong with a request is found here."""
