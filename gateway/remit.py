"""For which devices an operator speaks, through whichever door its messages come."""

from gateway.registry import Registry


def objection(registry: Registry, tenant_id: int, codec: str, device_code: str) -> str:
    """Say why an operator may not speak for a device; "" if it may.

    It speaks for devices of its codec. One that the town does not know, or that waits for
    approval, has none yet: a person is to see what comes of it.
    """
    device = registry.devices.get((tenant_id, device_code))
    if device is None or device.state == "quarantined" or device.codec == codec:
        return ""
    return (
        f"the operator speaks for devices whose codec is {codec}; that of {device_code} is "
        f"{device.codec}"
    )
