"""Exchange's XML and our values: requests to send, answers read. Pure: text and elements in, values out.

`names` holds the words of the protocol, `soap` the envelope, `requests` one function per operation, `items` the way
between a calendar item and a `Series`, with `zones`, `patterns`, `bodies` and `people` for its parts; the others
read one kind of answer each. Sources: the published schema of Exchange Server SE, [MS-OXWSCORE], [MS-OXWSMTGS].
"""
