#!/usr/bin/env bash
# Succeeds if this machine has a Vulkan device; else installs Mesa's drivers, which include a software device.
# macOS (Metal) and Windows (DX12) bring what is needed.
set -euo pipefail
cd "$(dirname "$0")"

[ "$(uname -s)" = Linux ] || exit 0

# A driver's manifest says little (it may be for a card that is not there), so this asks the Vulkan loader itself
# for an instance and for the number of its physical devices.
vulkan_devices() {
    python3 - <<'PYTHON'
import ctypes as c
import sys


class InstanceCreateInfo(c.Structure):  # VkInstanceCreateInfo
    _fields_ = [
        ("sType", c.c_int), ("pNext", c.c_void_p), ("flags", c.c_uint32), ("pApplicationInfo", c.c_void_p),
        ("enabledLayerCount", c.c_uint32), ("ppEnabledLayerNames", c.c_void_p),
        ("enabledExtensionCount", c.c_uint32), ("ppEnabledExtensionNames", c.c_void_p),
    ]


try:
    vulkan = c.CDLL("libvulkan.so.1")
except OSError:
    sys.exit("no Vulkan loader (libvulkan.so.1)")
instance, count = c.c_void_p(), c.c_uint32()
info = InstanceCreateInfo(sType=1)  # VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
if vulkan.vkCreateInstance(c.byref(info), None, c.byref(instance)) != 0:
    sys.exit("no Vulkan driver")
vulkan.vkEnumeratePhysicalDevices(instance, c.byref(count), None)
if count.value == 0:
    sys.exit("no Vulkan device")
print(f"{count.value} Vulkan device(s)", file=sys.stderr)
PYTHON
}

command -v python3 >/dev/null || ./apt.sh python3
if ! vulkan_devices; then
    ./apt.sh libvulkan1 mesa-vulkan-drivers
    vulkan_devices
fi
