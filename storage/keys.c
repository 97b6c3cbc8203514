#include "storage/keys.h"

#include "service/base/endian.h"

struct writer {
    char *ret;
    size_t len;
};

static void put(struct writer *writer, const void *bytes, size_t len)
{
    assert(writer->len + len <= KEY_BYTES_MAX);
    memcpy(writer->ret + writer->len, bytes, len);
    writer->len += len;
}

static void put_big_endian(struct writer *writer, uint64_t value, size_t len)
{
    assert(writer->len + len <= KEY_BYTES_MAX);
    endian_put_be(writer->ret + writer->len, value, len);
    writer->len += len;
}

static struct writer start(char *ret, struct key_space space)
{
    struct writer writer = {ret, 0};
    put_big_endian(&writer, space.partition, 2);
    put_big_endian(&writer, space.project, 4);
    assert(writer.len == KEY_SPACE_BYTES);
    return writer;
}

static str finish(struct writer writer)
{
    return (str){writer.ret, writer.len};
}

str key_journal(char ret[KEY_BYTES_MAX], struct key_space space, uuid run, uint32_t seq)
{
    struct writer writer = start(ret, space);
    put(&writer, run.bytes, sizeof(run.bytes));
    put_big_endian(&writer, seq, 4);
    assert(writer.len == KEY_JOURNAL_BYTES);
    return finish(writer);
}

str key_run(char ret[KEY_BYTES_MAX], struct key_space space, uuid run)
{
    struct writer writer = start(ret, space);
    put(&writer, run.bytes, sizeof(run.bytes));
    assert(writer.len == KEY_RUN_BYTES);
    return finish(writer);
}

str key_definition_name(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind, str name)
{
    assert(name.len > 0 && name.len <= KEY_NAME_BYTES_MAX);
    struct writer writer = start(ret, space);
    put(&writer, &kind, 1);
    put(&writer, name.ptr, name.len);
    return finish(writer);
}

str key_hash(char ret[KEY_BYTES_MAX], struct key_space space, const uint8_t hash[KEY_HASH_BYTES])
{
    struct writer writer = start(ret, space);
    put(&writer, hash, KEY_HASH_BYTES);
    return finish(writer);
}

str key_index(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind, str tail)
{
    assert(tail.len <= KEY_NAME_BYTES_MAX);
    struct writer writer = start(ret, space);
    put(&writer, &kind, 1);
    if (tail.len > 0) {
        put(&writer, tail.ptr, tail.len);
    }
    return finish(writer);
}

str key_topic(char ret[KEY_BYTES_MAX], struct key_space space, const uint8_t hash[KEY_HASH_BYTES],
              uint64_t sequence)
{
    struct writer writer = start(ret, space);
    put(&writer, hash, KEY_HASH_BYTES);
    put_big_endian(&writer, sequence, 8);
    return finish(writer);
}

str key_meta(char ret[KEY_BYTES_MAX], struct key_space space, str name)
{
    assert(name.len > 0 && name.len <= KEY_NAME_BYTES_MAX);
    struct writer writer = start(ret, space);
    put(&writer, name.ptr, name.len);
    return finish(writer);
}

str key_prefix_partition(char ret[KEY_BYTES_MAX], uint16_t partition)
{
    struct writer writer = {ret, 0};
    put_big_endian(&writer, partition, 2);
    return finish(writer);
}

str key_prefix_space(char ret[KEY_BYTES_MAX], struct key_space space)
{
    return finish(start(ret, space));
}

str key_prefix_definition_names(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind)
{
    struct writer writer = start(ret, space);
    put(&writer, &kind, 1);
    return finish(writer);
}

bool key_read_space(str key, struct key_space *ret)
{
    if (key.len < KEY_SPACE_BYTES) {
        return false;
    }
    ret->partition = (uint16_t)endian_get_be(key.ptr, 2);
    ret->project = (uint32_t)endian_get_be(key.ptr + 2, 4);
    return true;
}

bool key_read_run(str key, uuid *ret)
{
    if (key.len != KEY_RUN_BYTES && key.len != KEY_JOURNAL_BYTES) {
        return false;
    }
    memcpy(ret->bytes, key.ptr + KEY_SPACE_BYTES, sizeof(ret->bytes));
    return true;
}

bool key_read_journal_seq(str key, uint32_t *ret)
{
    if (key.len != KEY_JOURNAL_BYTES) {
        return false;
    }
    *ret = (uint32_t)endian_get_be(key.ptr + KEY_RUN_BYTES, 4);
    return true;
}

bool key_read_index_kind(str key, uint8_t *ret)
{
    if (key.len < KEY_SPACE_BYTES + 1) {
        return false;
    }
    *ret = (uint8_t)key.ptr[KEY_SPACE_BYTES];
    return true;
}

bool key_read_index(str key, str *ret_tail)
{
    if (key.len < KEY_SPACE_BYTES + 1) {
        return false;
    }
    *ret_tail = (str){key.ptr + KEY_SPACE_BYTES + 1, key.len - KEY_SPACE_BYTES - 1};
    return true;
}

bool key_read_hash(str key, uint8_t ret[KEY_HASH_BYTES])
{
    if (key.len < KEY_SPACE_BYTES + KEY_HASH_BYTES) {
        return false;
    }
    memcpy(ret, key.ptr + KEY_SPACE_BYTES, KEY_HASH_BYTES);
    return true;
}

bool key_read_topic_sequence(str key, uint64_t *ret)
{
    if (key.len != KEY_SPACE_BYTES + KEY_HASH_BYTES + 8) {
        return false;
    }
    const char *at = key.ptr + KEY_SPACE_BYTES + KEY_HASH_BYTES;
    *ret = endian_get_be(at, 8);
    return true;
}

bool key_read_definition_name(str key, uint8_t *ret_kind, str *ret_name)
{
    if (key.len <= KEY_SPACE_BYTES + 1) {
        return false;
    }
    *ret_kind = (uint8_t)key.ptr[KEY_SPACE_BYTES];
    *ret_name = (str){key.ptr + KEY_SPACE_BYTES + 1, key.len - KEY_SPACE_BYTES - 1};
    return true;
}
