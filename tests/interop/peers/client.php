<?php
// php client.php PORT PRIORITY FUNCTION WORKLOAD [UNIQUE [exceptions]]
// PRIORITY is normal, high or low, with -background after it or not.
// Says on stdout, one a line, what the server tells about the job.

[, $port, $priority, $function, $workload] = $argv;

function say(string ...$words): void
{
    fwrite(STDOUT, implode(' ', $words) . "\n");
}

$client = new GearmanClient();
$client->addServer('127.0.0.1', (int) $port);
if (isset($argv[6])) {
    $client->enableExceptionHandler();
}
$client->setCreatedCallback(fn($task) => say('created', $task->jobHandle()));
$client->setDataCallback(fn($task) => say('data', $task->data()));
$client->setWarningCallback(fn($task) => say('warning', $task->data()));
$client->setStatusCallback(
    fn($task) => say('status', $task->taskNumerator() . '/' . $task->taskDenominator())
);
$client->setCompleteCallback(fn($task) => say('complete', $task->data()));
$client->setExceptionCallback(fn($task) => say('exception', $task->data()));
$client->setFailCallback(fn($task) => say('fail'));

$method = [
    'normal' => 'addTask',
    'high' => 'addTaskHigh',
    'low' => 'addTaskLow',
    'normal-background' => 'addTaskBackground',
    'high-background' => 'addTaskHighBackground',
    'low-background' => 'addTaskLowBackground',
][$priority];
$client->$method($function, $workload, null, $argv[5] ?? null);
if (!@$client->runTasks() && $client->returnCode() !== GEARMAN_WORK_EXCEPTION) {
    say('error', (string) $client->returnCode(), $client->error());
}
