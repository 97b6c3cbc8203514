#include "storage/manifest.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/buf.h"
#include "service/base/crc32c.h"
#include "service/base/endian.h"

/*
 * The format of RocksDB's logs: blocks, and in them records that never cross a block's end:
 *   u32 masked checksum of type and data | u16 bytes of data | u8 type | data
 * A block's last bytes, too few for a head, are zeros. What is longer goes as first, middle
 * and last record.
 */
enum {
    BLOCK_BYTES = 32768,
    HEAD_BYTES = 7,
    TYPE_FULL = 1,
    TYPE_FIRST = 2,
    TYPE_LAST = 4,
    MANIFEST_BYTES_MAX = 256 << 20,
};

static uint32_t mask(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static size_t block_end(size_t at, size_t len)
{
    size_t end = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
    assert(at < len && end > at);
    return end < len ? end : len;
}

/* The length of the good record at `at`, head included, or 0. */
static size_t record_bytes(str file, size_t at, unsigned *ret_type)
{
    assert(at < file.len);
    size_t room = block_end(at, file.len) - at;
    if (room < HEAD_BYTES) {
        return 0;
    }
    const char *head = file.ptr + at;
    size_t bytes = HEAD_BYTES + endian_get_le(head + 4, 2);
    unsigned type = (uint8_t)head[6];
    if (bytes > room || type < TYPE_FULL || type > TYPE_LAST) {
        return 0;
    }
    if (mask(crc32c(0, (str){head + 6, bytes - 6})) != endian_get_le(head, 4)) {
        return 0;
    }
    *ret_type = type;
    return bytes;
}

/* Past the zeros at a block's end that are too few for a record. */
static size_t skip_trailer(size_t at)
{
    size_t left = BLOCK_BYTES - at % BLOCK_BYTES;
    return left < HEAD_BYTES ? at + left : at;
}

static bool any_record_from(str file, size_t at)
{
    unsigned type = 0;
    for (; at < file.len; at++) {
        if (record_bytes(file, at, &type) > 0) {
            return true;
        }
    }
    return false;
}

size_t manifest_good_bytes(str file, bool *ret_more_follows)
{
    size_t good = 0;
    size_t at = 0;
    unsigned type = 0;
    *ret_more_follows = false;
    while (at < file.len) {
        size_t bytes = record_bytes(file, at, &type);
        if (bytes == 0) {
            *ret_more_follows = any_record_from(file, at);
            return good;
        }
        at += bytes;
        assert(bytes >= HEAD_BYTES && at <= file.len);
        if (type == TYPE_FULL || type == TYPE_LAST) {
            good = at;
        }
        at = skip_trailer(at);
    }
    return type == TYPE_FULL || type == TYPE_LAST ? file.len : good;
}

/* ---- Files ---- */

static bool read_file(const char *path, struct buf *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    bool is_read = false;
    if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size <= MANIFEST_BYTES_MAX) {
        buf_reserve(ret, (size_t)info.st_size);
        ssize_t got = pread(fd, ret->ptr, (size_t)info.st_size, 0);
        is_read = got == (ssize_t)info.st_size;
        ret->len = is_read ? (size_t)got : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return is_read;
}

static bool write_synced(const char *path, str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len;
    bool is_synced = is_written && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_synced;
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return is_synced;
}

/* A new file in its place: the old one may be kept under another name. */
static bool replace(const char *folder, const char *path, str bytes)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s/manifest.mended", folder);
    return len < (int)sizeof(temporary) && write_synced(temporary, bytes) &&
           rename(temporary, path) == 0 && sync_folder(folder);
}

/* CURRENT holds the manifest's name and a line feed. */
static bool find_manifest(const char *folder, char ret[PATH_MAX])
{
    char path[PATH_MAX];
    struct buf current = {0};
    int len = snprintf(path, sizeof(path), "%s/CURRENT", folder);
    bool is_found = len < (int)sizeof(path) && read_file(path, &current);
    str name = is_found ? str_trim(buf_str(&current)) : STR_EMPTY;
    is_found = str_starts_with(name, STR("MANIFEST-")) && name.len < 64 &&
               memchr(name.ptr, '/', name.len) == NULL;
    if (is_found) {
        len = snprintf(ret, PATH_MAX, "%s/" STR_FMT, folder, STR_ARG(name));
        is_found = len < PATH_MAX;
    }
    buf_fini(&current);
    return is_found;
}

bool manifest_mend(const char *folder)
{
    char path[PATH_MAX];
    struct buf file = {0};
    bool more_follows = false;
    bool is_mended = false;
    if (find_manifest(folder, path) && read_file(path, &file)) {
        size_t good = manifest_good_bytes(buf_str(&file), &more_follows);
        assert(good <= file.len);
        if (good > 0 && good < file.len && !more_follows) {
            is_mended = replace(folder, path, (str){file.ptr, good});
        }
    }
    buf_fini(&file);
    return is_mended;
}
