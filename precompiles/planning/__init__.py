"""From a legal model to a table of kernel calls over flat memory.

``plan`` (registry) says how one operator is run, ``Planner`` collects the calls, ``place`` decides
where everything lies. Nothing here looks at an input, so one plan serves every call.
"""
