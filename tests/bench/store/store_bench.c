/*
 * store_bench: what a synced commit costs, next to what this disk gives to a bare append.
 *
 *   store_bench FOLDER [SECONDS_EACH]
 *
 * Prints commits per second of the store and of fdatasync appends of the same bytes, taken in
 * turn on the same disk in the same run, and their ratio: the figures are the machine's, the
 * ratios are ours. Then the cost of opening.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/base/sys.h"
#include "storage/keys.h"
#include "storage/rocksdb_store.h"

enum {
    VALUE_BYTES = 300,
    ROUNDS = 5, /* Taken in turn, so that a noisy minute hits both. */
};

static const size_t batch_sizes[] = {1, 64, 256};
static char value[VALUE_BYTES];

struct bench {
    struct store store;
    struct store_batch batch;
    const char *folder;
    uint64_t slice_us;
    uint32_t seq;
    int raw_fd;
    char *raw_bytes;
};

static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void must(status outcome)
{
    if (outcome.code != CODE_OK) {
        fprintf(stderr, "store_bench: %s: %s\n", code_name(outcome.code), outcome.why);
        exit(1);
    }
}

static void open_store(struct bench *bench)
{
    struct rocksdb_store_options options = {.path = bench->folder};
    struct arena arena;
    arena_init(&arena, 0);
    must(rocksdb_store_open(&options, &arena, &bench->store));
    arena_fini(&arena);
}

static void commit(struct bench *bench, size_t puts)
{
    char key[KEY_BYTES_MAX];
    store_batch_reset(&bench->batch);
    for (size_t i = 0; i < puts; i++) {
        uuid run = {{0}};
        bench->seq++;
        memcpy(run.bytes + 8, &(uint32_t){bench->seq * 2654435761u % 100000}, sizeof(uint32_t));
        store_batch_put(&bench->batch, STORE_JOURNAL,
                        key_journal(key, (struct key_space){0, 1}, run, bench->seq),
                        str_make(value, sizeof(value)));
    }
    must(store_commit(&bench->store, &bench->batch));
}

static void append_raw(struct bench *bench, size_t puts)
{
    size_t bytes = puts * (VALUE_BYTES + KEY_JOURNAL_BYTES);
    if (write(bench->raw_fd, bench->raw_bytes, bytes) != (ssize_t)bytes ||
        fdatasync(bench->raw_fd) != 0) {
        perror("store_bench: append");
        exit(1);
    }
}

/* How often `step` ran within one slice, per second. */
static double rate(struct bench *bench, size_t puts, void (*step)(struct bench *, size_t))
{
    uint64_t start_us = sys_monotonic_us();
    uint64_t now_us = start_us;
    size_t count = 0;
    for (; now_us - start_us < bench->slice_us; now_us = sys_monotonic_us()) {
        step(bench, puts);
        count++;
    }
    return (double)count * 1e6 / (double)(now_us - start_us);
}

static int by_size(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof(values[0]), by_size);
    return values[ROUNDS / 2];
}

static void measure(struct bench *bench, size_t puts)
{
    double store[ROUNDS];
    double raw[ROUNDS];
    uint64_t used_us = 0;
    uint32_t before = bench->seq;
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t start_us = cpu_us();
        store[i] = rate(bench, puts, commit);
        used_us += cpu_us() - start_us;
        raw[i] = rate(bench, puts, append_raw);
    }
    double cpu = (double)used_us / (double)(bench->seq - before);
    double commits = median(store);
    double appends = median(raw);
    printf(
        "batch=%-4zu commits/s=%-8.0f puts/s=%-9.0f appends/s=%-8.0f ratio=%.2f cpu_us/put=%.1f\n",
        puts, commits, commits * (double)puts, appends, commits / appends, cpu);
}

static long rss_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    long resident = 0;
    if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2) {
        resident = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void measure_open(struct bench *bench, const char *what)
{
    uint64_t start_us = sys_monotonic_us();
    open_store(bench);
    printf("open %s: %.1f ms, resident %.1f MiB\n", what,
           (double)(sys_monotonic_us() - start_us) / 1000, (double)rss_kib() / 1024);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 1;
    char raw_path[4096];
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench FOLDER [SECONDS_EACH]\n");
        return 64;
    }
    bench.folder = argv[1];
    bench.slice_us = (uint64_t)(seconds * 1e6 / ROUNDS);
    sys_random(value, sizeof(value));
    printf("before opening: resident %.1f MiB\n", (double)rss_kib() / 1024);
    measure_open(&bench, "new");
    snprintf(raw_path, sizeof(raw_path), "%s/raw_appends", argv[1]);
    bench.raw_fd = open(raw_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    bench.raw_bytes = xcalloc(256, VALUE_BYTES + KEY_JOURNAL_BYTES);
    for (size_t i = 0; i < COUNT_OF(batch_sizes); i++) {
        measure(&bench, batch_sizes[i]);
    }
    close(bench.raw_fd);
    unlink(raw_path);
    store_close(&bench.store);
    measure_open(&bench, "after a clean close");
    store_close(&bench.store);
    free(bench.raw_bytes);
    store_batch_fini(&bench.batch);
    return 0;
}
