#include "storage/watermark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "polos/journal/v1/records.pb.h"
#include "service/base/crc32c.h"
#include "service/base/endian.h"

/* A slot: magic 4 | body bytes 4 | crc32c of the body 4 | StoreWatermark | zeros. */
enum {
    SLOT_COUNT = 2,
    SLOT_BYTES = 512, /* A disk writes a sector whole, or garbles it. */
    SLOT_DISTANCE_BYTES = 4096, /* And no two slots share one, whatever its size. */
    SLOT_HEAD_BYTES = 12,
};

static_assert(SLOT_BYTES <= SLOT_DISTANCE_BYTES, "slots do not overlap");
static_assert(polos_journal_v1_StoreWatermark_size <= SLOT_BYTES - SLOT_HEAD_BYTES, "one fits");

static const char magic[4] = {'P', 'W', 'M', '1'};

static void path_of(const char *folder, char *ret, size_t bytes)
{
    int len = snprintf(ret, bytes, "%s/" WATERMARK_NAME, folder);
    assert(len > 0);
}

static void encode(const struct watermark *watermark, uint8_t ret[SLOT_BYTES])
{
    polos_journal_v1_StoreWatermark record = polos_journal_v1_StoreWatermark_init_zero;
    uint8_t *body = ret + SLOT_HEAD_BYTES;
    record.sequence = watermark->sequence;
    record.commits = watermark->commits;
    memset(ret, 0, SLOT_BYTES);
    pb_ostream_t out = pb_ostream_from_buffer(body, SLOT_BYTES - SLOT_HEAD_BYTES);
    bool fits = pb_encode(&out, polos_journal_v1_StoreWatermark_fields, &record);
    assert(fits && "two integers always fit a sector");
    (void)fits;
    memcpy(ret, magic, sizeof(magic));
    endian_put_le(ret + 4, out.bytes_written, 4);
    endian_put_le(ret + 8, crc32c(0, str_make(body, out.bytes_written)), 4);
}

static bool decode(const uint8_t slot[SLOT_BYTES], struct watermark *ret)
{
    polos_journal_v1_StoreWatermark record = polos_journal_v1_StoreWatermark_init_zero;
    const uint8_t *body = slot + SLOT_HEAD_BYTES;
    size_t len = endian_get_le(slot + 4, 4);
    if (memcmp(slot, magic, sizeof(magic)) != 0 || len > SLOT_BYTES - SLOT_HEAD_BYTES ||
        crc32c(0, str_make(body, len)) != endian_get_le(slot + 8, 4)) {
        return false;
    }
    pb_istream_t in = pb_istream_from_buffer(body, len);
    if (!pb_decode(&in, polos_journal_v1_StoreWatermark_fields, &record)) {
        return false;
    }
    *ret = (struct watermark){record.sequence, record.commits};
    return true;
}

bool watermark_write(struct watermark_file *file, const struct watermark *watermark)
{
    assert(file->fd >= 0 && file->slot < SLOT_COUNT);
    uint8_t slot[SLOT_BYTES];
    off_t at = (off_t)file->slot * SLOT_DISTANCE_BYTES;
    encode(watermark, slot);
    ssize_t written = pwrite(file->fd, slot, sizeof(slot), at);
    if (written != (ssize_t)sizeof(slot)) {
        return false;
    }
    file->slot = (file->slot + 1) % SLOT_COUNT;
    return true;
}

/* Both slots written once, so that later writes change no size and need no new block. */
static bool fill(struct watermark_file *file, const char *folder)
{
    struct watermark zero = {0, 0};
    if (!watermark_write(file, &zero) || !watermark_write(file, &zero)) {
        return false;
    }
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = dir >= 0 && fsync(dir) == 0;
    if (dir >= 0) {
        close(dir);
    }
    return synced;
}

/* True when a slot could be read; the next write goes to the other one. */
static bool read_slots(struct watermark_file *file, struct watermark *ret)
{
    bool found = false;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        uint8_t slot[SLOT_BYTES];
        struct watermark one;
        ssize_t got = pread(file->fd, slot, sizeof(slot), (off_t)i * SLOT_DISTANCE_BYTES);
        if (got != (ssize_t)sizeof(slot) || !decode(slot, &one)) {
            continue;
        }
        if (!found || one.sequence >= ret->sequence) {
            *ret = one;
            file->slot = (i + 1) % SLOT_COUNT;
        }
        found = true;
    }
    return found;
}

static status load(struct watermark_file *file, const char *folder, struct arena *arena,
                   struct watermark *ret_last)
{
    struct stat info;
    if (fstat(file->fd, &info) == 0 && info.st_size == 0) {
        *ret_last = (struct watermark){0, 0};
        return fill(file, folder)
                   ? STATUS_OK
                   : arena_fail(arena, CODE_UNAVAILABLE, "cannot write %s/" WATERMARK_NAME ": %s",
                                folder, strerror(errno));
    }
    if (!read_slots(file, ret_last)) {
        return arena_fail(arena, CODE_DATA_LOSS,
                          "%s/" WATERMARK_NAME " is damaged, so it cannot be told whether the log "
                          "is whole; restore a checkpoint, or empty that file to go on without "
                          "the check",
                          folder);
    }
    return STATUS_OK;
}

status watermark_open(const char *folder, struct arena *arena, struct watermark_file *ret,
                      struct watermark *ret_last)
{
    char path[4096];
    struct watermark_file file = {-1, 0};
    assert(ret != NULL && ret_last != NULL);
    path_of(folder, path, sizeof(path));
    file.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DSYNC, 0644);
    if (file.fd < 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "cannot open %s: %s", path,
                          strerror(errno));
    }
    status loaded = load(&file, folder, arena, ret_last);
    if (loaded.code != CODE_OK) {
        watermark_close(&file);
        return loaded;
    }
    *ret = file;
    return STATUS_OK;
}

bool watermark_exists(const char *folder)
{
    char path[4096];
    struct stat info;
    path_of(folder, path, sizeof(path));
    return stat(path, &info) == 0;
}

void watermark_close(struct watermark_file *file)
{
    if (file->fd >= 0) {
        close(file->fd);
    }
    file->fd = -1;
}
