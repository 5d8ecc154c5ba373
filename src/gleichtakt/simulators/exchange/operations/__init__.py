"""The operations on items and folders: a request element in, a response element out.

`OPERATIONS` maps the name of an operation to what carries it out. Whatever concerns one item or folder of a request
is answered in its response message; `Refused` comes out only where the call as a whole is refused (a SOAP fault).
"""

from __future__ import annotations

from collections.abc import Mapping

from gleichtakt.simulators.exchange.operations import configurations, find, folders, items, sync, tables
from gleichtakt.simulators.exchange.operations.call import Call, Operation
from gleichtakt.simulators.exchange.state import Refused

__all__ = ["OPERATIONS", "Call", "Operation", "Refused"]

OPERATIONS: Mapping[str, Operation] = {
    "ConvertId": tables.convert_id,
    "CopyItem": items.copy_item,
    "CreateFolder": folders.create_folder,
    "CreateItem": items.create_item,
    "DeleteFolder": folders.delete_folder,
    "DeleteItem": items.delete_item,
    "FindFolder": folders.find_folder,
    "FindItem": find.find_item,
    "GetFolder": folders.get_folder,
    "GetItem": items.get_item,
    "GetServerTimeZones": tables.get_server_time_zones,
    "GetUserConfiguration": configurations.get_user_configuration,
    "MoveItem": items.move_item,
    "SyncFolderHierarchy": sync.sync_folder_hierarchy,
    "SyncFolderItems": sync.sync_folder_items,
    "UpdateItem": items.update_item,
}
