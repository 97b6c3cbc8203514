#include "service/base/name.h"

bool name_is_valid(str name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.ptr[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool digit = byte >= '0' && byte <= '9';
        if (!letter && !digit && byte != '_' && byte != '-' && byte != '.') {
            return false;
        }
    }
    return true;
}

bool tool_name_is_valid(str name)
{
    return name.len <= TOOL_NAME_BYTES_MAX && name_is_valid(name) &&
           memchr(name.ptr, '.', name.len) == NULL;
}
