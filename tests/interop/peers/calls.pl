# perl calls.pl PORT CALL [ARGUMENT ...]
# Makes one call of Gearman::Client's that waits for its answer, and prints it.

use strict;
use warnings;
use Gearman::Client;

my ($port, $call, @arguments) = @ARGV;
$| = 1;

my $client = Gearman::Client->new(job_servers => "127.0.0.1:$port");

my %calls = (
    do => sub {
        my ($function, $workload, %options) = @_;
        my $result = $client->do_task($function, \$workload, \%options);
        return defined $result ? "result $$result" : 'undefined';
    },
    background => sub {
        my ($function, $workload, %options) = @_;
        return $client->dispatch_background($function, \$workload, \%options);
    },
    status => sub {
        my ($handle) = @_;
        my $status = $client->get_status("127.0.0.1:$port//$handle");
        return join ' ', map { $_ || 0 } $status->known, $status->running,
            @{ $status->progress || [] };
    },
    # Two tasks of a set that share a unique, and one of another function.
    set => sub {
        my @results;
        my $set = $client->new_task_set;
        for my $task (['upper', 'one'], ['upper', 'two'], ['size', 'three']) {
            my ($function, $workload) = @$task;
            $set->add_task(
                $function,
                \$workload,
                {
                    uniq        => $function,
                    on_complete => sub { push @results, ${ $_[0] } },
                    on_fail     => sub { push @results, 'failed' },
                }
            );
        }
        $set->wait;
        return join ' ', sort @results;
    },
    servers => sub {
        my $status = $client->get_job_server_status;
        my ($functions) = values %$status;
        return join ' ', map {
            my $f = $functions->{$_};
            "$_ $f->{queued} $f->{running} $f->{capable}"
        } sort keys %$functions;
    },
);
print $calls{$call}->(@arguments), "\n";
