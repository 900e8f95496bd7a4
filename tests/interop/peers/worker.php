<?php
// php worker.php PORT [CLIENT-ID [FUNCTION-TIMEOUT-IN-MILLISECONDS]]
// Says on stdout what it does, and on stdin hears when to go on.

[, $port] = $argv;

function say(string ...$words): void
{
    fwrite(STDOUT, implode(' ', $words) . "\n");
}

$worker = new GearmanWorker();
$worker->addOptions(GEARMAN_WORKER_GRAB_UNIQ);
$worker->addServer('127.0.0.1', (int) $port);
if (isset($argv[2])) {
    $worker->setId($argv[2]);
}

$functions = [
    'upper' => function (GearmanJob $job): string {
        say('did', $job->workload());
        return strtoupper($job->workload());
    },
    'unique' => fn(GearmanJob $job): string => $job->unique(),
    'size' => fn(GearmanJob $job): string => (string) $job->workloadSize(),
    'events' => function (GearmanJob $job): string {
        $job->sendData('one');
        $job->sendData("t\0o");
        $job->sendWarning('careful');
        $job->sendStatus(1, 2);
        return 'end';
    },
    'fail' => function (GearmanJob $job): void {
        say('failing');
        $job->sendFail();
    },
    'raise' => function (GearmanJob $job): void {
        say('raising');
        $job->sendException('boom');
    },
    'hold' => function (GearmanJob $job): string {
        $job->sendStatus(3, 10);
        say('holding', $job->handle());
        fgets(STDIN);
        return 'held ' . $job->workload();
    },
];
foreach ($functions as $name => $function) {
    $worker->addFunction($name, $function, null, (int) ($argv[3] ?? 0));
}

// What a job that did not end well leaves behind; none of it is the worker's failure.
$expected = [GEARMAN_SUCCESS, GEARMAN_WORK_FAIL, GEARMAN_WORK_EXCEPTION];
do {
    @$worker->work();
} while (in_array($worker->returnCode(), $expected, true));
say('ended', (string) $worker->returnCode(), $worker->error());
