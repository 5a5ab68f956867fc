import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import promotions.models.access
import uuid
from django.conf import settings
from django.db import migrations, models


# Sealed when the transaction commits and not at the insert: the head is then locked for that moment only, and
# after every other lock, so that chaining neither holds other work up nor closes a circle of locks.
TRIGGERS = """
CREATE FUNCTION audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head promotions_audithead%ROWTYPE;
    made text;
BEGIN
    -- Only an empty chain may begin: a head that somebody took away must not come back by itself.
    INSERT INTO promotions_audithead (id, number, hash)
        SELECT 1, 0, repeat('0', 64)
        WHERE NOT EXISTS (SELECT FROM promotions_auditentry WHERE number IS NOT NULL)
        ON CONFLICT DO NOTHING;
    SELECT * INTO head FROM promotions_audithead WHERE id = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of the audit chain is missing: run manage.py verify_audit';
    END IF;
    made := encode(sha256(convert_to(
        (head.number + 1) || E'\\n' || NEW.id || E'\\n' || head.hash || E'\\n' || NEW.content_hash, 'UTF8'
    )), 'hex');
    UPDATE promotions_auditentry
        SET number = head.number + 1, previous_hash = head.hash, hash = made WHERE id = NEW.id;
    UPDATE promotions_audithead SET number = head.number + 1, hash = made WHERE id = 1;
    RETURN NULL;
END $$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.number IS NULL AND NEW.number IS NOT NULL
            AND to_jsonb(OLD) - ARRAY['number', 'previous_hash', 'hash']
              = to_jsonb(NEW) - ARRAY['number', 'previous_hash', 'hash'] THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit entries are never changed or removed (%)', TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION audit_refuse_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.id = OLD.id AND NEW.number = OLD.number + 1 THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the head of the audit chain only moves on (%)', TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE CONSTRAINT TRIGGER audit_seal AFTER INSERT ON promotions_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_seal();
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE ON promotions_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON promotions_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_refuse_head BEFORE UPDATE OR DELETE ON promotions_audithead
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_head();
CREATE TRIGGER audit_refuse_head_truncate BEFORE TRUNCATE ON promotions_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_head();
"""
# The chain begins empty.
HEAD = "INSERT INTO promotions_audithead (id, number, hash) VALUES (1, 0, repeat('0', 64))"


class Migration(migrations.Migration):

    initial = True

    # What these brought step by step is made at once: each step on the way costs a new database time.
    replaces = [
        ('promotions', '0001_initial'),
        ('promotions', '0002_notifications'),
        ('promotions', '0003_manifest_history'),
        ('promotions', '0004_writers'),
        ('promotions', '0005_audit_chain'),
        ('promotions', '0006_rendered'),
        ('promotions', '0007_gates'),
        ('promotions', '0008_release'),
        ('promotions', '0009_automation'),
        ('promotions', '0010_recovery'),
        ('promotions', '0011_telling'),
    ]

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('auth', '__first__'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.BigIntegerField()),
                ('hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='FreezeWindow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('reason', models.CharField(blank=True, max_length=255)),
                ('applications', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, size=None)),
                ('environments', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, size=None)),
                ('starts', models.CharField(blank=True, max_length=100)),
                ('ends', models.CharField(blank=True, max_length=100)),
                ('lasts', models.PositiveIntegerField(default=0, help_text='Minutes')),
                ('begins_at', models.CharField(blank=True, max_length=32)),
                ('ends_at', models.CharField(blank=True, max_length=32)),
                ('time_zone', models.CharField(default='UTC', max_length=64)),
            ],
            options={
                'ordering': ['slug'],
            },
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('session_key', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='session key')),
                ('session_data', models.TextField(verbose_name='session data')),
                ('expire_date', models.DateTimeField(db_index=True, verbose_name='expire date')),
                ('user_id', models.BigIntegerField(db_index=True, null=True)),
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('vendor', models.CharField(choices=[('gitlab', 'GitLab'), ('git', 'Git'), ('tekton', 'Tekton'), ('argocd', 'Argo CD'), ('harbor', 'Harbor'), ('distribution', 'OCI registry')], max_length=20)),
                ('url', models.CharField(help_text="Base address of the API; for Git what stands before the project's path", max_length=200)),
                ('username', models.CharField(blank=True, max_length=200)),
                ('secret', models.CharField(blank=True, help_text='"env:NAME" or "file:/path"', max_length=500)),
                ('ca_file', models.CharField(blank=True, max_length=500)),
                ('host', models.CharField(blank=True, help_text="A registry's host as image names spell it", max_length=255)),
                ('namespace', models.CharField(blank=True, help_text="Tekton's namespace", max_length=63)),
                ('web_url', models.URLField(blank=True, help_text="Address for links, where it differs from the API's")),
                ('known_hosts', models.CharField(blank=True, help_text="For Git over SSH: the file with the servers' host keys", max_length=500)),
                ('signing_key', models.CharField(blank=True, help_text='For Git: what signs commits, "env:NAME" or "file:/path"', max_length=500)),
                ('signing_format', models.CharField(blank=True, choices=[('ssh', 'SSH key'), ('openpgp', 'OpenPGP key')], max_length=10)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.CheckConstraint(condition=models.Q(('secret', ''), ('secret__startswith', 'env:'), ('secret__startswith', 'file:'), _connector='OR'), name='connection_secret_is_a_reference'), models.CheckConstraint(condition=models.Q(('signing_key', ''), ('signing_key__startswith', 'env:'), ('signing_key__startswith', 'file:'), _connector='OR'), name='connection_signing_key_is_a_reference')],
            },
        ),
        migrations.CreateModel(
            name='Application',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=100)),
                ('description', models.TextField(blank=True)),
                ('source_project', models.CharField(max_length=255)),
                ('source_connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='promotions.connection')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Environment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('name', models.CharField(max_length=100)),
                ('order', models.PositiveIntegerField()),
                ('risk', models.CharField(choices=[('development', 'development'), ('staging', 'staging'), ('production', 'production')], default='development', max_length=20)),
                ('required_approvals', models.PositiveSmallIntegerField(default=1)),
                ('policy', models.JSONField(blank=True, default=dict, help_text='Further rules, as `policy.rules.Rules` reads them')),
            ],
            options={
                'ordering': ['order'],
                'constraints': [models.UniqueConstraint(fields=('order',), name='environment_order_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='Image',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('repository', models.CharField(help_text='host/path, without tag', max_length=255)),
                ('slug', models.SlugField()),
                ('newest', models.JSONField(blank=True, default=dict, help_text='Which version is the newest, as `policy.ordering` reads it')),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='images', to='promotions.application')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='images', to='promotions.connection')),
            ],
            options={
                'ordering': ['application', 'slug'],
                'constraints': [models.UniqueConstraint(fields=('application', 'slug'), name='image_slug_is_unique'), models.UniqueConstraint(fields=('application', 'repository'), name='image_repository_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='Lock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('set_by_name', models.CharField(max_length=255)),
                ('set_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_by_name', models.CharField(blank=True, max_length=255)),
                ('lifted_at', models.DateTimeField(null=True)),
                ('application', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='promotions.application')),
                ('environment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='promotions.environment')),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True)), fields=('application', 'environment'), name='one_standing_lock_per_place', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='lock_has_a_reason')],
            },
        ),
        migrations.CreateModel(
            name='NotificationChannel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(unique=True)),
                ('url', models.CharField(help_text='Apprise address as "env:NAME" or "file:/path"', max_length=500)),
                ('personal', models.CharField(blank=True, choices=[('email', 'e-mail address'), ('username', 'user name')], help_text='What completes the address to reach one person; empty for a room', max_length=20)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                ('applications', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, size=None)),
                ('environments', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, size=None)),
                ('told_at', models.DateTimeField(editable=False, help_text='When it took a message last', null=True)),
                ('problem', models.TextField(blank=True, editable=False, help_text='Why it took none, in a sentence')),
                ('troubled_since', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.CheckConstraint(condition=models.Q(('url__startswith', 'env:'), ('url__startswith', 'file:'), _connector='OR'), name='channel_url_is_a_reference')],
            },
        ),
        migrations.CreateModel(
            name='Outage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outages', to='promotions.connection')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('connection',), name='one_open_outage_per_connection')],
            },
        ),
        migrations.CreateModel(
            name='PipelineRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.CharField(max_length=64)),
                ('namespace', models.CharField(max_length=63)),
                ('name', models.CharField(max_length=255)),
                ('pipeline', models.CharField(blank=True, max_length=255)),
                ('status', models.CharField(choices=[('pending', 'pending'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='pending', max_length=20)),
                ('reason', models.CharField(blank=True, max_length=100)),
                ('message', models.TextField(blank=True)),
                ('commit', models.CharField(blank=True, max_length=64)),
                ('params', models.JSONField(default=dict)),
                ('results', models.JSONField(default=dict)),
                ('plan', models.JSONField(default=list, help_text="[{name, is_finally}] in the pipeline's order")),
                ('skipped', models.JSONField(default=dict, help_text='{task: reason}')),
                ('event_id', models.CharField(blank=True, max_length=64)),
                ('resource_version', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('completed_at', models.DateTimeField(null=True)),
                ('gone_at', models.DateTimeField(help_text='When the cluster had pruned it', null=True)),
                ('web_url', models.URLField(blank=True, help_text='Where a GitLab pipeline shows its jobs', max_length=1000)),
                ('application', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='promotions.application')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pipeline_runs', to='promotions.connection')),
            ],
            options={
                'ordering': ['-created_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='ImageVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=100)),
                ('tag', models.CharField(help_text='The label it was first seen under', max_length=128)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=128), default=list, help_text='Labels on it now', size=None)),
                ('commit', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Pushed, or first seen where unknown')),
                ('missing_since', models.DateTimeField(help_text='When the registry no longer had the digest', null=True)),
                ('scan_status', models.CharField(blank=True, help_text="Harbor's word, Success when done", max_length=20)),
                ('scan_severity', models.CharField(blank=True, choices=[('None', 'none'), ('Unknown', 'unknown'), ('Negligible', 'negligible'), ('Low', 'low'), ('Medium', 'medium'), ('High', 'high'), ('Critical', 'critical')], max_length=20)),
                ('pipeline_status', models.CharField(blank=True, help_text="Of the commit, GitLab's word", max_length=40)),
                ('pipeline_url', models.URLField(blank=True, max_length=1000)),
                ('evidence_at', models.DateTimeField(help_text='When scan and pipeline were last looked at', null=True)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='promotions.image')),
                ('built_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='versions', to='promotions.pipelinerun')),
            ],
            options={
                'ordering': ['-created_at', '-id'],
                'constraints': [models.UniqueConstraint(fields=('image', 'digest'), name='digest_is_the_identity')],
            },
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(choices=[('promotion', 'promotion'), ('rollback', 'rollback')], default='promotion', max_length=20)),
                ('wave', models.PositiveSmallIntegerField(default=1, help_text='Of its release: 1 goes first')),
                ('status', models.CharField(choices=[('requested', 'waiting for approval'), ('approved', 'approved'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('errored', 'errored'), ('rejected', 'rejected'), ('aborted', 'aborted'), ('superseded', 'superseded')], default='requested', max_length=20)),
                ('message', models.TextField(blank=True, help_text='Why it is where it is, in one sentence')),
                ('reason', models.TextField(blank=True)),
                ('requested_by_name', models.CharField(max_length=255)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('status_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('base_commit', models.CharField(max_length=64)),
                ('change_hash', models.CharField(max_length=64)),
                ('diff', models.TextField()),
                ('edits', models.JSONField(default=list, help_text='[{file, key, old, new}]')),
                ('rendered_diff', models.TextField(blank=True, help_text='What the change does to the built manifests')),
                ('rendered_note', models.TextField(blank=True, help_text='Why there is no rendered difference')),
                ('previous_diff', models.TextField(blank=True, help_text='What was approved before the change differed')),
                ('step', models.CharField(blank=True, choices=[('write', 'Write the change to Git'), ('merge', 'Merge the change'), ('arrive', 'Arrive in the cluster'), ('verify', 'Verify')], max_length=20)),
                ('attempt', models.PositiveSmallIntegerField(default=1)),
                ('look_at', models.DateTimeField(help_text='When the engine looks again at the latest', null=True)),
                ('branch_round', models.PositiveSmallIntegerField(default=1, help_text='Counts the branches of its own: a merge request in conflict gets another one')),
                ('written_commit', models.CharField(blank=True, max_length=64)),
                ('written_at', models.DateTimeField(null=True)),
                ('merge_request_iid', models.PositiveIntegerField(null=True)),
                ('merge_request_url', models.URLField(blank=True, max_length=1000)),
                ('target_commit', models.CharField(blank=True, help_text='The commit on the manifest branch that Argo CD must reach', max_length=64)),
                ('verification_run_name', models.CharField(blank=True, max_length=255)),
                ('from_version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='promotions.imageversion')),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='promotions', to=settings.AUTH_USER_MODEL)),
                ('rollback_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='rollbacks', to='promotions.promotion')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='promotions.imageversion')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='pipelinerun',
            name='promotion',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='verification_runs', to='promotions.promotion'),
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event', models.CharField(choices=[('requested', 'waiting for approval'), ('approved', 'approved'), ('rejected', 'rejected'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('errored', 'errored'), ('rolled-back', 'rolled back'), ('stuck', 'stuck'), ('aborted', 'aborted'), ('superseded', 'superseded'), ('urgent', 'urgent'), ('unreachable', 'upstream unreachable'), ('reachable', 'upstream reachable again')], max_length=20)),
                ('key', models.CharField(max_length=150)),
                ('title', models.CharField(max_length=250)),
                ('body', models.TextField()),
                ('link', models.URLField(blank=True, max_length=1000)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Empty: sent, or given up', null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('problem', models.TextField(blank=True)),
                ('connection', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='promotions.connection')),
                ('recipient', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='promotions.notificationchannel')),
                ('promotion', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='promotions.promotion')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['channel', 'recipient', 'id'], name='notification_waiting'), models.Index(fields=['key'], name='notification_key')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('recipient__isnull', True)), fields=('channel', 'key'), name='room_is_told_once'), models.UniqueConstraint(condition=models.Q(('recipient__isnull', False)), fields=('channel', 'recipient', 'key'), name='person_is_told_once')],
            },
        ),
        migrations.CreateModel(
            name='FreezeException',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('person_name', models.CharField(max_length=255)),
                ('reason', models.TextField()),
                ('change_hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('person', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='freeze_exception', to='promotions.promotion')),
            ],
        ),
        migrations.CreateModel(
            name='CheckResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField()),
                ('change_hash', models.CharField(max_length=64)),
                ('state', models.CharField(choices=[('pending', 'pending'), ('passed', 'passed'), ('failed', 'failed')], default='pending', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('link', models.URLField(blank=True, max_length=1000)),
                ('by_name', models.CharField(blank=True, max_length=255)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('asked_at', models.DateTimeField(null=True)),
                ('promotion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='promotions.promotion')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('promotion', 'name'), name='one_result_per_check'), models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'passed', 'failed'])), name='check_state_is_known')],
            },
        ),
        migrations.CreateModel(
            name='BreakGlass',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('person_name', models.CharField(max_length=255)),
                ('gates', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), size=None)),
                ('reason', models.TextField()),
                ('change_hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('person', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='broken_glass', to='promotions.promotion')),
            ],
            options={
                'verbose_name_plural': 'broken glass',
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='broken_glass_has_a_reason'), models.CheckConstraint(condition=models.Q(('gates', []), _negated=True), name='broken_glass_names_gates')],
            },
        ),
        migrations.CreateModel(
            name='AutomaticRollback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('cause', models.CharField(choices=[('verification', 'verification failed'), ('degraded', 'degraded')], max_length=20)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('requested', 'requested'), ('left', 'left to people')], default='waiting', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When the cause was first seen')),
                ('decided_at', models.DateTimeField(null=True)),
                ('promotion', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='automatic_rollback', to='promotions.promotion')),
                ('rollback', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='decided_automatically', to='promotions.promotion')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('state', 'waiting')), models.Q(models.Q(('state', 'waiting'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='decided_when_and_only_when_not_waiting')],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('actor_username', models.CharField(blank=True, db_index=True, max_length=150)),
                ('actor_name', models.CharField(max_length=255)),
                ('via', models.CharField(choices=[('page', 'page'), ('token', 'API token'), ('worker', 'worker'), ('command', 'command'), ('unknown', 'unknown')], default='unknown', max_length=20)),
                ('address', models.CharField(default='unknown', max_length=100)),
                ('client', models.CharField(blank=True, help_text='The token or command that spoke', max_length=200)),
                ('action', models.CharField(max_length=100)),
                ('subject', models.CharField(max_length=255)),
                ('reason', models.TextField(blank=True)),
                ('application', models.CharField(blank=True, max_length=50)),
                ('environment', models.CharField(blank=True, max_length=50)),
                ('tag', models.CharField(blank=True, db_index=True, max_length=255)),
                ('digest', models.CharField(blank=True, db_index=True, max_length=100)),
                ('commit', models.CharField(blank=True, db_index=True, max_length=64)),
                ('manifest_commit', models.CharField(blank=True, db_index=True, max_length=64)),
                ('change_hash', models.CharField(blank=True, max_length=64)),
                ('data', models.JSONField(default=dict)),
                ('content_hash', models.CharField(blank=True, max_length=64)),
                ('number', models.BigIntegerField(help_text='Its place in the chain', null=True, unique=True)),
                ('previous_hash', models.CharField(blank=True, max_length=64)),
                ('hash', models.CharField(blank=True, max_length=64)),
                ('actor', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='audit_entries', to='promotions.promotion')),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['at'], name='audit_at'), models.Index(fields=['application', '-id'], name='audit_application'), models.Index(fields=['action', '-id'], name='audit_action'), models.Index(django.db.models.functions.text.Upper('actor_name'), name='audit_actor_name')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('actor_name', ''), _negated=True), models.Q(('action', ''), _negated=True), models.Q(('address', ''), _negated=True), ('via__in', ['page', 'token', 'worker', 'command', 'unknown'])), name='audit_says_who_what_and_from_where')],
            },
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('person_name', models.CharField(max_length=255)),
                ('decision', models.CharField(choices=[('approved', 'approved'), ('rejected', 'rejected')], max_length=20)),
                ('comment', models.TextField(blank=True)),
                ('change_hash', models.CharField(max_length=64)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('fallen_at', models.DateTimeField(null=True)),
                ('fallen_because', models.TextField(blank=True)),
                ('person', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='promotions.promotion')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('fallen_at__isnull', True)), fields=('promotion', 'person'), name='one_standing_decision_per_person')],
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('name', models.CharField(max_length=100)),
                ('kind', models.CharField(choices=[('promotion', 'promotion'), ('rollback', 'rollback')], default='promotion', max_length=20)),
                ('reason', models.TextField()),
                ('requested_by_name', models.CharField(max_length=255)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('pause', models.PositiveIntegerField(default=0, help_text='Minutes between two waves')),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='releases', to=settings.AUTH_USER_MODEL)),
                ('rollback_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='rollbacks', to='promotions.release')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='promotion',
            name='release',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='promotions.release'),
        ),
        migrations.CreateModel(
            name='ReviewTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('closed_at', models.DateTimeField(null=True)),
                ('closed_by_name', models.CharField(blank=True, max_length=255)),
                ('comment', models.TextField(blank=True)),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('glass', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='review', to='promotions.breakglass')),
                ('person', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('promotion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reviews', to='promotions.promotion')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', True), ('comment', '')), models.Q(('closed_at__isnull', False), models.Q(('comment', ''), _negated=True)), _connector='OR'), name='review_is_closed_with_a_comment'), models.CheckConstraint(condition=models.Q(('closed_by__isnull', True), ('person__isnull', True), models.Q(('closed_by', models.F('person')), _negated=True), _connector='OR'), name='review_is_closed_by_somebody_else')],
            },
        ),
        migrations.CreateModel(
            name='RoleGrant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('viewer', 'viewer'), ('developer', 'developer'), ('approver', 'approver'), ('admin', 'admin')], max_length=20)),
                ('application', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='promotions.application')),
                ('environment', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='promotions.environment')),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_grants', to='auth.group')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='role_grants', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group__isnull', False), ('user__isnull', True)), models.Q(('group__isnull', True), ('user__isnull', False)), _connector='OR'), name='grant_is_for_a_user_or_a_group'), models.UniqueConstraint(fields=('user', 'group', 'role', 'application', 'environment'), name='grant_is_unique', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('not_before', models.DateTimeField()),
                ('until', models.DateTimeField(null=True)),
                ('time_zone', models.CharField(default='UTC', max_length=64)),
                ('note', models.TextField(blank=True)),
                ('refused', models.TextField(blank=True, help_text='What kept it back when the gates were last asked')),
                ('released_at', models.DateTimeField(null=True)),
                ('promotion', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='schedule', to='promotions.promotion')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('until__isnull', True), ('until__gt', models.F('not_before')), _connector='OR'), name='schedule_ends_after_it_begins')],
            },
        ),
        migrations.CreateModel(
            name='SignInAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('account', models.CharField(max_length=64)),
                ('address', models.CharField(max_length=100)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'indexes': [models.Index(fields=['account', 'at'], name='attempt_account'), models.Index(fields=['address', 'at'], name='attempt_address'), models.Index(fields=['at'], name='attempt_at')],
            },
        ),
        migrations.CreateModel(
            name='Stage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('manifest_project', models.CharField(max_length=255)),
                ('manifest_branch', models.CharField(max_length=255)),
                ('manifest_path', models.CharField(blank=True, max_length=500)),
                ('places', models.JSONField(blank=True, default=list, help_text='Where several places match: the chosen ones, "file:key"')),
                ('edit_style', models.CharField(choices=[('tag', 'tag'), ('digest', 'digest'), ('tag-and-digest', 'tag and digest'), ('app-version', 'chart appVersion')], default='tag', max_length=20)),
                ('write_mode', models.CharField(choices=[('direct', 'direct commit'), ('own-branch', 'branch of its own with a merge request'), ('team-branch', "the team's branch with a merge request")], default='direct', max_length=20)),
                ('team_branch', models.CharField(blank=True, max_length=255)),
                ('commit_message', models.TextField(blank=True, help_text='Template; the trailers follow by themselves')),
                ('branch_name', models.CharField(blank=True, help_text='Template of a branch of its own', max_length=255)),
                ('merged_by_people', models.BooleanField(default=False, help_text='Slipway opens the merge request and waits until a person merges it')),
                ('argocd_project', models.CharField(blank=True, default='default', max_length=255)),
                ('argocd_application', models.CharField(blank=True, max_length=255)),
                ('verification_pipeline', models.CharField(blank=True, max_length=255)),
                ('promotable', models.BooleanField(default=True, help_text='Whether people promote to it at all')),
                ('promote', models.CharField(choices=[('by-people', 'when people ask'), ('automatically', 'automatically')], default='by-people', max_length=20)),
                ('newest', models.JSONField(blank=True, default=dict, help_text="Where it differs from the image's")),
                ('application', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='stages', to='promotions.application')),
                ('argocd_connection', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='promotions.connection')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='stages', to='promotions.environment')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='stages', to='promotions.image')),
                ('manifest_connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='promotions.connection')),
                ('verification_connection', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='promotions.connection')),
            ],
            options={
                'ordering': ['application__name', 'environment__order'],
                'constraints': [models.UniqueConstraint(fields=('application', 'environment'), name='one_stage_per_cell'), models.CheckConstraint(condition=models.Q(models.Q(('write_mode', 'team-branch'), _negated=True), models.Q(('team_branch', ''), _negated=True), _connector='OR'), name='team_branch_named_when_used')],
            },
        ),
        migrations.CreateModel(
            name='Residence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('since', models.DateTimeField(default=django.utils.timezone.now)),
                ('healthy_since', models.DateTimeField(null=True)),
                ('soaked', models.PositiveIntegerField(default=0, help_text='Seconds')),
                ('left_at', models.DateTimeField(null=True)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='residences', to='promotions.imageversion')),
                ('stage', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='residences', to='promotions.stage')),
            ],
            options={
                'ordering': ['-since', '-id'],
                'constraints': [models.UniqueConstraint(fields=('stage', 'version'), name='one_residence_per_version')],
            },
        ),
        migrations.AddField(
            model_name='promotion',
            name='stage',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='promotions.stage'),
        ),
        migrations.CreateModel(
            name='Pin',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('set_by_name', models.CharField(max_length=255)),
                ('set_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_by_name', models.CharField(blank=True, max_length=255)),
                ('lifted_at', models.DateTimeField(null=True)),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='promotions.imageversion')),
                ('promotion', models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='pin', to='promotions.promotion')),
                ('stage', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pins', to='promotions.stage')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True)), fields=('stage',), name='one_standing_pin_per_stage'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='pin_has_a_reason')],
            },
        ),
        migrations.CreateModel(
            name='ManifestHistory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('commit', models.CharField(help_text='The branch tip it was read at', max_length=64)),
                ('commits', models.JSONField(default=list, help_text='[{sha, title, author, at, url, tag, digest, promotion}], newest first')),
                ('stage', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='history', to='promotions.stage')),
            ],
            options={
                'verbose_name_plural': 'manifest histories',
            },
        ),
        migrations.CreateModel(
            name='Automation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('idle', 'up to date'), ('waiting', 'waiting'), ('under-way', 'under way'), ('held', 'held')], default='idle', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('until', models.DateTimeField(help_text='When what keeps it back ends by itself, where known', null=True)),
                ('rests_until', models.DateTimeField(null=True)),
                ('version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='promotions.imageversion')),
                ('stage', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='automation', to='promotions.stage')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['idle', 'waiting', 'under-way', 'held'])), name='automation_state_is_known')],
            },
        ),
        migrations.CreateModel(
            name='StageState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('desired_tag', models.CharField(blank=True, max_length=128)),
                ('desired_digest', models.CharField(blank=True, max_length=100)),
                ('desired_places', models.JSONField(default=list, help_text='[{file, key, value, line}]')),
                ('desired_commit', models.CharField(blank=True, help_text='The branch tip it was read at', max_length=64)),
                ('desired_problem', models.TextField(blank=True)),
                ('desired_seen_at', models.DateTimeField(null=True)),
                ('running_tag', models.CharField(blank=True, max_length=128)),
                ('running_digest', models.CharField(blank=True, max_length=100)),
                ('running_others', models.JSONField(default=list, help_text='Further references live during a rollout')),
                ('sync_status', models.CharField(blank=True, max_length=20)),
                ('health_status', models.CharField(blank=True, max_length=20)),
                ('health_since', models.DateTimeField(null=True)),
                ('degraded_since', models.DateTimeField(null=True)),
                ('revision', models.CharField(blank=True, max_length=64)),
                ('operation_phase', models.CharField(blank=True, max_length=20)),
                ('running_problem', models.TextField(blank=True, help_text="Argo CD's own words")),
                ('running_seen_at', models.DateTimeField(null=True)),
                ('desired_version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='promotions.imageversion')),
                ('promoted', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='promotions.promotion')),
                ('running_version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='promotions.imageversion')),
                ('stage', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='state', to='promotions.stage')),
            ],
        ),
        migrations.CreateModel(
            name='StepResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('step', models.CharField(choices=[('write', 'Write the change to Git'), ('merge', 'Merge the change'), ('arrive', 'Arrive in the cluster'), ('verify', 'Verify')], max_length=20)),
                ('attempt', models.PositiveSmallIntegerField(default=1)),
                ('status', models.CharField(choices=[('running', 'running'), ('waiting', 'waiting'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('errored', 'errored'), ('aborted', 'aborted')], default='running', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('link', models.URLField(blank=True, max_length=1000)),
                ('data', models.JSONField(default=dict, help_text='What the step must remember between two looks')),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('promotion', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='promotions.promotion')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('promotion', 'step', 'attempt'), name='one_result_per_attempt')],
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), size=None)),
                ('applications', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, help_text='Empty: all', size=None)),
                ('language', models.CharField(blank=True, max_length=10)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='promotions.notificationchannel')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('user', 'channel'), name='one_subscription_per_channel'), models.CheckConstraint(condition=models.Q(('events__contained_by', ['requested', 'approved', 'rejected', 'succeeded', 'failed', 'errored', 'rolled-back', 'stuck', 'aborted', 'superseded', 'urgent', 'unreachable', 'reachable'])), name='subscribed_events_are_known')],
            },
        ),
        migrations.CreateModel(
            name='TaskRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.CharField(max_length=64)),
                ('name', models.CharField(max_length=255)),
                ('task', models.CharField(max_length=255)),
                ('status', models.CharField(choices=[('pending', 'pending'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='pending', max_length=20)),
                ('reason', models.CharField(blank=True, max_length=100)),
                ('message', models.TextField(blank=True)),
                ('pod_name', models.CharField(blank=True, max_length=255)),
                ('attempt', models.PositiveSmallIntegerField(default=1)),
                ('steps', models.JSONField(default=list)),
                ('results', models.JSONField(default=dict)),
                ('resource_version', models.CharField(blank=True, max_length=64)),
                ('started_at', models.DateTimeField(null=True)),
                ('completed_at', models.DateTimeField(null=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='task_runs', to='promotions.pipelinerun')),
            ],
            options={
                'ordering': ['started_at', 'id'],
                'constraints': [models.UniqueConstraint(fields=('run', 'uid'), name='taskrun_uid_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='StepLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.PositiveSmallIntegerField(default=1)),
                ('container', models.CharField(max_length=255)),
                ('text', models.TextField(blank=True)),
                ('length', models.PositiveIntegerField(default=0, help_text='Characters printed, kept or not')),
                ('last_at', models.DateTimeField(help_text="The vendor's time stamp of the last line kept", null=True)),
                ('truncated', models.BooleanField(default=False)),
                ('complete', models.BooleanField(default=False)),
                ('task_run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='logs', to='promotions.taskrun')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('task_run', 'attempt', 'container'), name='steplog_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='Upstream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='kind:connection[:what]', max_length=500, unique=True)),
                ('kind', models.CharField(max_length=40)),
                ('what', models.CharField(blank=True, max_length=400)),
                ('holder', models.CharField(blank=True, max_length=100)),
                ('held_until', models.DateTimeField(null=True)),
                ('state', models.CharField(choices=[('starting', 'not yet seen'), ('fresh', 'fresh'), ('troubled', 'troubled'), ('refused', 'refused')], default='starting', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('seen_at', models.DateTimeField(help_text='When it last answered', null=True)),
                ('troubled_since', models.DateTimeField(null=True)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='upstreams', to='promotions.connection')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='VersionBlock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField()),
                ('set_by_name', models.CharField(max_length=255)),
                ('set_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_by_name', models.CharField(blank=True, max_length=255)),
                ('lifted_at', models.DateTimeField(null=True)),
                ('set_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='blocks', to='promotions.imageversion')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at__isnull', True)), fields=('version',), name='one_standing_block_per_version')],
            },
        ),
        migrations.CreateModel(
            name='WebhookSource',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ('tokens', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=500), blank=True, default=list, size=None)),
                ('signing_tokens', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=500), blank=True, default=list, size=None)),
                ('refused_count', models.PositiveBigIntegerField(default=0, editable=False)),
                ('last_refused_at', models.DateTimeField(editable=False, null=True)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='webhook_sources', to='promotions.connection')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dedupe_key', models.CharField(max_length=255)),
                ('headers', models.JSONField(default=dict)),
                ('body', models.BinaryField()),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('kind', models.CharField(blank=True, max_length=100)),
                ('summary', models.TextField(blank=True)),
                ('outcome', models.CharField(choices=[('pending', 'waiting to be processed'), ('processed', 'processed'), ('ignored', 'ignored'), ('unreadable', 'unreadable'), ('failed', 'failed')], default='pending', max_length=20)),
                ('message', models.TextField(blank=True)),
                ('processed_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('duplicates', models.PositiveIntegerField(default=0)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='promotions.webhooksource')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('source', 'dedupe_key'), name='delivery_is_taken_once')],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('read', 'read'), ('promote', 'promote'), ('approve', 'approve'), ('checks', 'report checks')], max_length=20), default=promotions.models.access.every_scope, size=None)),
                ('applications', django.contrib.postgres.fields.ArrayField(base_field=models.SlugField(), blank=True, default=list, help_text='Empty: all', size=None)),
                ('is_service', models.BooleanField(default=False, help_text='Made by an admin for a machine')),
                ('created_by_name', models.CharField(blank=True, max_length=255)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['read', 'promote', 'approve', 'checks'])), name='token_scopes_are_known')],
            },
        ),
        migrations.CreateModel(
            name='Announcement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fragment', models.CharField(max_length=50)),
                ('key', models.CharField(max_length=100)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('application', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, to='promotions.application')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(fields=['at'], name='announcement_at')],
            },
        ),
        migrations.CreateModel(
            name='Comparison',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(max_length=255)),
                ('base', models.CharField(max_length=64)),
                ('head', models.CharField(max_length=64)),
                ('commits', models.JSONField(default=list, help_text='[{sha, title, author, at, url}], newest first')),
                ('merge_requests', models.JSONField(default=list, help_text='[{iid, title, author, url}]')),
                ('backwards', models.BooleanField(default=False, help_text='head is older than base: what would be undone')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='promotions.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'project', 'base', 'head'), name='comparison_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='Commit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(max_length=255)),
                ('sha', models.CharField(max_length=64)),
                ('title', models.TextField()),
                ('author_name', models.CharField(max_length=255)),
                ('authored_at', models.DateTimeField()),
                ('web_url', models.URLField(blank=True, max_length=1000)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='promotions.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'project', 'sha'), name='commit_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='BranchTip',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(max_length=255)),
                ('branch', models.CharField(max_length=255)),
                ('commit', models.CharField(max_length=64)),
                ('changed_at', models.DateTimeField()),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='promotions.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'project', 'branch'), name='branch_tip_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='FreezePeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(max_length=255)),
                ('number', models.PositiveBigIntegerField(help_text="GitLab's id")),
                ('starts', models.CharField(max_length=100)),
                ('ends', models.CharField(max_length=100)),
                ('time_zone', models.CharField(max_length=64)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='freeze_periods', to='promotions.connection')),
            ],
            options={
                'ordering': ['project', 'number'],
                'constraints': [models.UniqueConstraint(fields=('connection', 'project', 'number'), name='freeze_period_is_read_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='pipelinerun',
            constraint=models.UniqueConstraint(fields=('connection', 'uid'), name='pipelinerun_uid_is_unique'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('requested', 'approved', 'running'))), fields=('stage',), name='one_open_promotion_per_stage'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['requested', 'approved', 'running', 'succeeded', 'failed', 'errored', 'rejected', 'aborted', 'superseded'])), name='promotion_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('status__in', ('requested', 'approved', 'running'))), models.Q(('finished_at__isnull', False), models.Q(('status__in', ('requested', 'approved', 'running')), _negated=True)), _connector='OR'), name='finished_when_and_only_when_closed'),
        ),
        migrations.RunSQL([HEAD, TRIGGERS]),
    ]
