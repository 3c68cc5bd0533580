"""Whether time tells who has an account: the procedure that an operator runs against a service of their own.

`addresses` reads the lists, `client` asks and measures, `timing` and `echo` are the two measurements, `statistics` and
`verdict` judge them, `report` and `picture` tell. Nothing here is loaded by the service.
"""
