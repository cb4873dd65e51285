package control

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

const bulkTemplate = `{"Parameters":{"Name":{"Type":"String"},"CSR":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}}}}`

func TestRegistrationTasks(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	start := func(body string) (string, error) {
		out, err := c.StartThingRegistrationTask(ctx, &iot.StartThingRegistrationTaskInput{
			TemplateBody: &body, InputFileBucket: aws.String("factory"), InputFileKey: aws.String("batch/1.json"),
			RoleArn: aws.String("arn:aws:iam::000000000000:role/bulk"),
		})
		if err != nil {
			return "", err
		}
		return *out.TaskId, nil
	}
	list := func(status types.Status) (ids []string) {
		for pages := iot.NewListThingRegistrationTasksPaginator(c, &iot.ListThingRegistrationTasksInput{Status: status, MaxResults: aws.Int32(1)}); pages.HasMorePages(); {
			ids = append(ids, must(pages.NextPage(ctx))(t).TaskIds...)
		}
		return ids
	}
	t.Run("a template that no line could succeed with is refused, and nothing is stored", func(t *testing.T) {
		_, err := start(`{"Resources":{}}`)
		refused(t, err, "InvalidRequestException", "Resources is empty")
		if ids := list(""); len(ids) != 0 {
			t.Errorf("got %v", ids)
		}
	})
	first := must(start(bulkTemplate))(t)
	t.Run("a task says what it was started with", func(t *testing.T) {
		got := must(c.DescribeThingRegistrationTask(ctx, &iot.DescribeThingRegistrationTaskInput{TaskId: &first}))(t)
		if *got.TemplateBody != bulkTemplate || *got.InputFileBucket != "factory" || *got.InputFileKey != "batch/1.json" || got.Status != types.StatusInProgress ||
			*got.RoleArn != "arn:aws:iam::000000000000:role/bulk" || got.PercentageProgress != 0 || got.CreationDate == nil || got.LastModifiedDate == nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an account has one task in progress", func(t *testing.T) {
		_, err := start(bulkTemplate)
		refused(t, err, "InvalidRequestException", "one at a time")
		if ids := list(types.StatusInProgress); len(ids) != 1 || ids[0] != first {
			t.Errorf("got %v", ids)
		}
	})
	t.Run("a stopped one makes room", func(t *testing.T) {
		for range 2 {
			must(c.StopThingRegistrationTask(ctx, &iot.StopThingRegistrationTaskInput{TaskId: &first}))(t)
		}
		second := must(start(bulkTemplate))(t)
		if ids := list(types.StatusCancelled); len(ids) != 1 || ids[0] != first {
			t.Errorf("got %v", ids)
		}
		if ids := list(""); len(ids) != 2 || second == first {
			t.Errorf("got %v", ids)
		}
	})
	t.Run("reports are listed, and there are none yet", func(t *testing.T) {
		got := must(c.ListThingRegistrationTaskReports(ctx, &iot.ListThingRegistrationTaskReportsInput{TaskId: &first, ReportType: types.ReportTypeErrors}))(t)
		if got.ReportType != types.ReportTypeErrors || got.ResourceLinks == nil || len(got.ResourceLinks) != 0 {
			t.Errorf("got %+v", got)
		}
		_, err := c.ListThingRegistrationTaskReports(ctx, &iot.ListThingRegistrationTaskReportsInput{TaskId: aws.String("none"), ReportType: types.ReportTypeErrors})
		refused(t, err, "InvalidRequestException", "task none does not exist")
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		_, err := c.DescribeThingRegistrationTask(ctx, &iot.DescribeThingRegistrationTaskInput{TaskId: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "task none does not exist")
		_, err = c.StopThingRegistrationTask(ctx, &iot.StopThingRegistrationTaskInput{TaskId: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "none")
		_, err = s.client("AKIAOTHERADMIN").DescribeThingRegistrationTask(ctx, &iot.DescribeThingRegistrationTaskInput{TaskId: &first})
		refused(t, err, "ResourceNotFoundException", first)
	})
}
