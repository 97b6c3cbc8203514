#include "service/rpc/descriptors.h"

#include <stdlib.h>

#include "service/base/arena.h"
#include "service/base/array.h"
#include "service/rpc/wire_field.h"

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    ANY_NAME = 1, /* Of every kind of definition. */
};

enum {
    NESTING_MAX = 32,
};

struct file {
    str bytes;
    str name;
    str package;
};

struct symbol {
    str name;
    size_t file;
};

struct descriptors {
    struct arena arena; /* Full names. */
    struct file *files;
    size_t file_count;
    size_t file_cap;
    struct symbol *symbols; /* Sorted by name. */
    size_t symbol_count;
    size_t symbol_cap;
};

/* What is defined inside what: the field that holds the inner definitions. */
struct scope {
    uint32_t field;
    bool in_parent; /* Enum values are named beside their enum. */
    const struct scope *inner; /* Ends with field 0; NULL: none. */
};

static const struct scope enum_scopes[] = {{2, true, NULL}, {0}};
static const struct scope service_scopes[] = {{2, false, NULL}, {0}};
static const struct scope message_scopes[] = {
    {2, false, NULL}, /* field */
    {8, false, NULL}, /* oneof_decl */
    {6, false, NULL}, /* extension */
    {4, false, enum_scopes}, /* enum_type */
    {3, false, message_scopes}, /* nested_type */
    {0},
};
static const struct scope file_scopes[] = {
    {4, false, message_scopes}, /* message_type */
    {5, false, enum_scopes}, /* enum_type */
    {6, false, service_scopes}, /* service */
    {7, false, NULL}, /* extension */
    {0},
};

/* The last value of a text field, empty when there is none or the bytes are not a message. */
static str text_field(str message, uint32_t number)
{
    struct wire_field field;
    str found = STR_EMPTY;
    while (wire_field_take(&message, &field)) {
        if (field.number == number && field.is_bytes) {
            found = field.bytes;
        }
    }
    return found;
}

static str full_name(struct descriptors *descriptors, str scope, str name)
{
    if (scope.len == 0) {
        return name;
    }
    return arena_printf(&descriptors->arena, STR_FMT "." STR_FMT, STR_ARG(scope), STR_ARG(name));
}

static void add_symbol(struct descriptors *descriptors, str name, size_t file)
{
    descriptors->symbols =
        array_reserve(descriptors->symbols, &descriptors->symbol_cap, descriptors->symbol_count + 1,
                      sizeof(*descriptors->symbols));
    descriptors->symbols[descriptors->symbol_count++] = (struct symbol){name, file};
}

static bool add_definitions(struct descriptors *descriptors, str message, str parent, str self,
                            const struct scope *scopes, size_t file, unsigned depth)
{
    struct wire_field field;
    if (depth > NESTING_MAX) {
        return false;
    }
    while (message.len > 0) {
        if (!wire_field_take(&message, &field)) {
            return false;
        }
        for (const struct scope *scope = scopes; scope->field != 0; scope++) {
            if (scope->field != field.number || !field.is_bytes) {
                continue;
            }
            str around = scope->in_parent ? parent : self;
            str name = full_name(descriptors, around, text_field(field.bytes, ANY_NAME));
            add_symbol(descriptors, name, file);
            if (scope->inner != NULL && !add_definitions(descriptors, field.bytes, around, name,
                                                         scope->inner, file, depth + 1)) {
                return false;
            }
        }
    }
    return true;
}

static bool add_file(struct descriptors *descriptors, str bytes)
{
    size_t index = descriptors->file_count++;
    descriptors->files = array_reserve(descriptors->files, &descriptors->file_cap,
                                       descriptors->file_count, sizeof(*descriptors->files));
    struct file *file = &descriptors->files[index];
    *file = (struct file){
        .bytes = bytes,
        .name = text_field(bytes, FILE_NAME),
        .package = text_field(bytes, FILE_PACKAGE),
    };
    return file->name.len > 0 &&
           add_definitions(descriptors, bytes, file->package, file->package, file_scopes, index, 0);
}

static bool read_set(struct descriptors *descriptors, str set)
{
    struct wire_field field;
    while (set.len > 0) {
        if (!wire_field_take(&set, &field) || field.number != SET_FILE || !field.is_bytes ||
            !add_file(descriptors, field.bytes)) {
            return false;
        }
    }
    return true;
}

static int compare(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_symbols(const void *a, const void *b)
{
    return compare(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

struct descriptors *descriptors_new(str set)
{
    struct descriptors *descriptors = xcalloc(1, sizeof(*descriptors));
    arena_init(&descriptors->arena, 0);
    if (!read_set(descriptors, set)) {
        descriptors_free(descriptors);
        return NULL;
    }
    if (descriptors->symbol_count > 0) {
        qsort(descriptors->symbols, descriptors->symbol_count, sizeof(struct symbol),
              compare_symbols);
    }
    return descriptors;
}

void descriptors_free(struct descriptors *descriptors)
{
    if (descriptors == NULL) {
        return;
    }
    arena_fini(&descriptors->arena);
    free(descriptors->files);
    free(descriptors->symbols);
    free(descriptors);
}

size_t descriptors_file_count(const struct descriptors *descriptors)
{
    return descriptors->file_count;
}

size_t descriptors_file_named(const struct descriptors *descriptors, str name)
{
    for (size_t i = 0; i < descriptors->file_count; i++) {
        if (str_equal(descriptors->files[i].name, name)) {
            return i;
        }
    }
    return DESCRIPTORS_NONE;
}

size_t descriptors_file_with(const struct descriptors *descriptors, str symbol)
{
    struct symbol wanted = {.name = symbol};
    if (descriptors->symbol_count == 0) {
        return DESCRIPTORS_NONE;
    }
    assert(descriptors->symbols != NULL);
    const struct symbol *found = bsearch(&wanted, descriptors->symbols, descriptors->symbol_count,
                                         sizeof(struct symbol), compare_symbols);
    assert(found == NULL || found->file < descriptors->file_count);
    return found == NULL ? DESCRIPTORS_NONE : found->file;
}

static bool is_listed(const size_t *files, size_t count, size_t file)
{
    for (size_t i = 0; i < count; i++) {
        if (files[i] == file) {
            return true;
        }
    }
    return false;
}

size_t descriptors_closure(const struct descriptors *descriptors, size_t file, size_t *ret)
{
    assert(file < descriptors->file_count);
    size_t count = 0;
    ret[count++] = file;
    for (size_t i = 0; i < count; i++) {
        str rest = descriptors->files[ret[i]].bytes;
        struct wire_field field;
        while (wire_field_take(&rest, &field)) {
            if (field.number != FILE_DEPENDENCY || !field.is_bytes) {
                continue;
            }
            size_t import = descriptors_file_named(descriptors, field.bytes);
            if (import != DESCRIPTORS_NONE && !is_listed(ret, count, import)) {
                ret[count++] = import;
            }
        }
    }
    assert(count <= descriptors->file_count);
    return count;
}

str descriptors_file_bytes(const struct descriptors *descriptors, size_t file)
{
    assert(file < descriptors->file_count);
    return descriptors->files[file].bytes;
}
